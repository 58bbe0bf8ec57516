"""The gateway: the only door, for partners, counsellors and administrators."""
