"""The demonstration territory: Charleroi and around, twelve invented organisations and what they offer.

`python -m relais_local.territory DIR` writes `organisations.json` (read by the gateway's demonstration) and
`services.json` (canonical import records, read by the directory's import). Words, people and organisations
stand in `organisations.toml` and `offers.toml`, where they can be reviewed; the places are real ones
(`localities.csv`, from the gazetteer of the directory: GeoNames, Statbel, CC BY 4.0). No real body is given an
invented fact: every name, street, number and address of the web is made up, and every entry says that it is a
demonstration.
"""
