"""The referral app on HTTP."""
