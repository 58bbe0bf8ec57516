"""The verbs of the referral app, one transaction each."""
