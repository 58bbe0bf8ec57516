"""The referral app: one person handed over, with consent, from first word to closing."""
