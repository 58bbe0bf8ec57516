"""The tables of the referral app, by subject; whoever imports one has all, for a table names others by word."""

from relais_referral.models import (
    access,
    conferences,
    consents,
    conversation,
    feed,
    figures,
    guests,
    mail,
    referrals,
    reflections,
    shared,
    trail,
    webhooks,
)

__all__ = [
    "access",
    "conferences",
    "consents",
    "conversation",
    "feed",
    "figures",
    "guests",
    "mail",
    "referrals",
    "reflections",
    "shared",
    "trail",
    "webhooks",
]
