"""What countries and languages are called: their names in the files of others, and the codes that we keep."""

import re
from functools import cache
from typing import Final

from relais_directory.domain.words import plain

COUNTRIES: Final = {
    "AT": "AUT, Austria, Autriche, Oostenrijk, Österreich",
    "AU": "AUS, Australia, Australie, Australië, Australien",
    "BE": "BEL, Belgium, Belgique, België, Belgien",
    "CA": "CAN, Canada, Kanada",
    "CH": "CHE, Switzerland, Suisse, Zwitserland, Schweiz, Svizzera",
    "CZ": "CZE, Czechia, Czech Republic, Tchéquie, Tsjechië, Tschechien",
    "DE": "DEU, GER, Germany, Allemagne, Duitsland, Deutschland",
    "DK": "DNK, Denmark, Danemark, Denemarken, Dänemark",
    "ES": "ESP, Spain, Espagne, Spanje, Spanien, España",
    "FI": "FIN, Finland, Finlande, Finnland",
    "FR": "FRA, France, Frankrijk, Frankreich, République française",
    "GB": "GBR, UK, U.K., United Kingdom, Great Britain, England, Scotland, Wales, Northern Ireland, Royaume-Uni, "
    "Angleterre, Verenigd Koninkrijk, Vereinigtes Königreich",
    "IE": "IRL, Ireland, Irlande, Ierland, Irland, Republic of Ireland, Éire",
    "IT": "ITA, Italy, Italie, Italië, Italien, Italia",
    "LU": "LUX, Luxembourg, Luxemburg, Lëtzebuerg, Grand-Duché de Luxembourg",
    "MX": "MEX, Mexico, Mexique, Mexiko, México",
    "NL": "NLD, Netherlands, The Netherlands, Holland, Pays-Bas, Nederland, Niederlande",
    "NO": "NOR, Norway, Norvège, Noorwegen, Norwegen",
    "NZ": "NZL, New Zealand, Nouvelle-Zélande, Nieuw-Zeeland, Neuseeland",
    "PL": "POL, Poland, Pologne, Polen, Polska",
    "PT": "PRT, Portugal",
    "SE": "SWE, Sweden, Suède, Zweden, Schweden",
    "US": "USA, U.S., U.S.A., United States, United States of America, États-Unis, Verenigde Staten, "
    "Vereinigte Staaten",
}
"""ISO 3166-1 code, and what is written instead of it."""

LANGUAGES: Final = {
    "am": "amh, Amharic, Amharique",
    "ar": "ara, Arabic, Arabe, Arabisch",
    "bg": "bul, Bulgarian, Bulgare, Bulgaars, Bulgarisch",
    "bn": "ben, Bengali",
    "bs": "bos, Bosnian, Bosniaque, Bosnisch",
    "cs": "ces, cze, Czech, Tchèque, Tsjechisch, Tschechisch",
    "cy": "cym, wel, Welsh, Gallois",
    "de": "deu, ger, German, Allemand, Duits, Deutsch",
    "el": "ell, gre, Greek, Grec, Grieks, Griechisch",
    "en": "eng, English, Anglais, Engels, Englisch",
    "es": "spa, Spanish, Espagnol, Spaans, Spanisch, Castilian",
    "fa": "fas, per, Persian, Farsi, Dari, Persan, Perzisch, Persisch",
    "fr": "fra, fre, French, Français, Frans, Französisch",
    "hi": "hin, Hindi",
    "hr": "hrv, Croatian, Croate, Kroatisch",
    "ht": "hat, Haitian Creole, Haitian, Créole haïtien",
    "hu": "hun, Hungarian, Hongrois, Hongaars, Ungarisch",
    "it": "ita, Italian, Italien, Italiaans, Italienisch",
    "ja": "jpn, Japanese, Japonais",
    "ko": "kor, Korean, Coréen",
    "ku": "kur, Kurdish, Kurde, Koerdisch, Kurdisch",
    "lb": "ltz, Luxembourgish, Luxembourgeois, Luxemburgs, Luxemburgisch",
    "ln": "lin, Lingala",
    "nl": "nld, dut, Dutch, Flemish, Néerlandais, Flamand, Nederlands, Vlaams, Niederländisch",
    "pl": "pol, Polish, Polonais, Pools, Polnisch",
    "ps": "pus, Pashto, Pachto",
    "pt": "por, Portuguese, Portugais, Portugees, Portugiesisch",
    "rcf": "Réunion Creole, Créole réunionnais",
    "rn": "run, Kirundi",
    "ro": "ron, rum, Romanian, Roumain, Roemeens, Rumänisch",
    "ru": "rus, Russian, Russe, Russisch",
    "rw": "kin, Kinyarwanda",
    "sk": "slk, slo, Slovak, Slovaque, Slowaaks, Slowakisch",
    "so": "som, Somali",
    "sq": "sqi, alb, Albanian, Albanais, Albanees, Albanisch",
    "sr": "srp, Serbian, Serbe, Servisch, Serbisch",
    "sw": "swa, Swahili",
    "ta": "tam, Tamil, Tamoul",
    "ti": "tir, Tigrinya, Tigrigna",
    "tl": "tgl, Tagalog, Filipino",
    "tr": "tur, Turkish, Turc, Turks, Türkisch",
    "uk": "ukr, Ukrainian, Ukrainien, Oekraïens, Ukrainisch",
    "ur": "urd, Urdu, Ourdou, Oerdoe",
    "vi": "vie, Vietnamese, Vietnamien, Vietnamees, Vietnamesisch",
    "zh": "zho, chi, Chinese, Mandarin, Cantonese, Chinois, Chinees, Chinesisch",
}
"""ISO 639-1 code (639-3 where there is none), and what is written instead of it."""


def country(text: str) -> str | None:
    """Answer the ISO code of a country named in any of our languages or by a longer code; None where unknown."""
    if re.fullmatch(r"[A-Za-z]{2}", text.strip()) and text.strip().upper() != "UK":
        return text.strip().upper()
    return _known()[0].get(plain(text))


def language(text: str) -> str | None:
    """Answer the code of a language named in any of our languages or by a longer code; None where unknown."""
    return _known()[1].get(plain(text))


@cache
def _known() -> tuple[dict[str, str], dict[str, str]]:
    countries, languages = (
        {plain(name): code for code, names in table.items() for name in names.split(", ")}
        for table in (COUNTRIES, LANGUAGES)
    )
    return countries, languages
