"""What the three services share: small topics without a business word."""
