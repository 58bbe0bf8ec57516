"""What she herself reads and does, in a session of her own: nobody's word stands between her and her hand-overs."""
