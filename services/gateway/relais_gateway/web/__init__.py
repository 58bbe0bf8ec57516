"""The counsellor's pages: the API's first client, with the counsellor's own rights and no others."""
