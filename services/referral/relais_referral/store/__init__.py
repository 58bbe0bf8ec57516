"""Every query of the referral app, by subject: `store.consents.given` says where it stands."""

from relais_referral.store import (
    access,
    callers,
    conferences,
    consents,
    conversation,
    feed,
    figures,
    guests,
    holding,
    mail,
    referrals,
    reflections,
    sealed,
    sequencing,
    trail,
    webhooks,
)

__all__ = [
    "access",
    "callers",
    "conferences",
    "consents",
    "conversation",
    "feed",
    "figures",
    "guests",
    "holding",
    "mail",
    "referrals",
    "reflections",
    "sealed",
    "sequencing",
    "trail",
    "webhooks",
]
