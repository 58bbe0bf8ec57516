"""The pages of the person herself and of a guest: no account, a card or a link, a session of their own."""
