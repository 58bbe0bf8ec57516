"""Names of persons in a text, as far as rules can see them; in French, Dutch, German and English.

Nobody's name may stand in a tip. A rule cannot know every name: it knows titles, ways to say whom to ask for, common
given names, and the names that the entry itself tells. It refuses a little too much rather than too little, and what it
refuses can be said by function or desk.
"""

import re
from collections.abc import Iterable
from typing import Final

from relais_directory.domain.words import plain

_NAME: Final = r"[^\W\d_](?:[\w'\u2019-]*\w)?"
_PLACES: Final = (
    r"rue|avenue|av|bd|boulevard|place|pl|square|quai|chauss[ée]e|impasse|all[ée]e|pont|gare|parc|h[ôo]pital|clinique|"
    r"[ée]cole|lyc[ée]e|coll[èe]ge|ath[ée]n[ée]e|institut|centre|cit[ée]|r[ée]sidence|salle|maison|espace|fondation|"
    r"biblioth[èe]que|m[ée]tro|arr[êe]t|saint|sainte|st|ste|sint|sankt|fort|porte|tour|stade|foyer|home|cr[èe]che|"
    r"straat|laan|plein|kliniek|ziekenhuis|school|station|halte|huis|stra[sß]+e|platz|allee|krankenhaus|schule|"
    r"bahnhof|haus|street|road|avenue|square|hospital|house|park|team"
)
_OF_PLACE: Final = re.compile(
    rf"\b(?:{_PLACES})(?:[\s.-]+(?:de|du|des|d['\u2019]|la|le|l['\u2019]|van|der|den|von|dem|{_NAME}))?[\s.'\u2019-]*$",
    re.IGNORECASE,
)
"""What stands before a name that is a street's, a school's or a saint's."""
_PLACE_BEHIND: Final = re.compile(
    r"^[\w\s'\u2019]{0,25}-?(?:straat|laan|plein|stra[sß]e|platz|allee|kliniek|hospital|street|avenue|square)\b",
    re.IGNORECASE,
)

_TITLE: Final = re.compile(
    rf"\b(?:(?:Mmes?|Mlles?|Mrs|Mr|Ms|Mevr|Mvr|Dhr|Dr)\.?|(?:M|MM|Hr|Fr)\.|"
    rf"(?i:madame|mademoiselle|monsieur|docteur|ma[îi]tre|mevrouw|mijnheer|meneer|dokter|frau|herrn?|doktor|miss|mister|"
    rf"doctor|s[œo]e?ur|p[èe]re|pater|zuster))\s+(?P<name>{_NAME})"
)
_SHORT_LOW: Final = re.compile(
    rf"\b(?:mme|mlle|mr|mrs|mevr|mvr|dhr)\.?\s+(?P<name>{_NAME})",
    re.IGNORECASE,
)
"""A short title is followed by a name, even where all is written small."""
_AFTER_SHORT: Final = frozenset(
    "la le les l de du des qui est et ou a au the of het een die der das und ist met en".split()  # noqa: SIM905 - the same
)

_ASKING: Final = re.compile(
    r"\b(?:demande[rz]|demande|appele[rz]|appelle|contacte[rz]?|joindre|joignez|voir(?:\s+avec)?|voyez(?:\s+avec)?|"
    r"rappele[rz]|adressez[\s-]vous\s+à|s['\u2019]adresser\s+à|parle[rz]\s+(?:à|avec)|"
    r"vraag(?:\s+(?:naar|achter))?|vragen\s+naar|bel(?:len)?(?:\s+(?:met|naar))?|contacteer|spreek\s+met|"
    r"rufen\s+sie|fragen\s+sie(?:\s+nach)?|nach\s+fragen|wenden\s+sie\s+sich\s+an|"
    r"ask(?:\s+for)?|call|contact|talk\s+to|speak\s+(?:to|with))\s+"
    rf"(?P<name>{_NAME})",
    re.IGNORECASE,
)
_NUMBERED: Final = re.compile(r"\s+\d")
"""An annexe, a room, a line: persons have no number."""
_NOUNS: Final = re.compile(r"\b(?:rufen|fragen|wenden)\b", re.IGNORECASE)
"""German writes every noun large: there only a given name is one."""

_INITIAL: Final = re.compile(rf"(?<![\w.])[A-Z]\.\s?(?:[A-Z]\.\s?)*(?P<name>[A-ZÀ-Þ][a-zà-ÿ]{{2,}}{_NAME}?)")

_DESKS: Final = frozenset(
    """
    accueil service services social sociale sociaux guichet secretariat maison centre bureau equipe permanence direction
    directrice directeur assistante assistant monsieur madame commune mairie mutuelle mutualite hopital clinique ecole
    creche agence antenne point espace relais standard responsable referente referent coordinatrice coordinateur
    conseillere conseiller infirmiere infirmier medecin planning familial enfance petite inscription inscriptions
    onthaal loket dienst sociaal huis kind gezin gemeente school team secretariaat mutualiteit ziekenfonds
    empfang schalter dienststelle sekretariat beratung beratungsstelle jugendamt jobcenter amt gemeindehaus sozialdienst
    reception desk office service council school hospital centre center helpline front
    actiris forem vdab onem rva cpas ocmw caritas fedasil unia famiferm onafts croix rouge rode kruis samusocial
    convivial ciré cire emploi travail pole france mission locale caf cpam pmi urssaf tec stib sncb nmbs lijn delhaize
    relais kaleido adg oxfam emmaus restos secours
    lundi mardi mercredi jeudi vendredi samedi dimanche maandag dinsdag woensdag donderdag vrijdag zaterdag zondag
    montag dienstag mittwoch donnerstag freitag samstag sonntag monday tuesday wednesday thursday friday saturday sunday
    """.split()  # noqa: SIM905 - so many words are read more easily without quotes
)
"""Words written large that are no person: desks, functions, houses and days (plain, as `words.plain` writes)."""

_GIVEN: Final = frozenset(
    """
    sophie isabelle nathalie valerie sandrine stephanie celine veronique catherine christine martine monique francoise
    dominique brigitte sylvie chantal annie jacqueline nicole danielle michele pascale patricia laurence florence
    helene virginie delphine caroline emilie julie laura camille chloe manon lea emma sarah lucie pauline mathilde
    charlotte alice juliette oceane marion audrey aurelie laetitia melanie elodie amandine jessica vanessa sabrina
    samira fatima fatiha fatma khadija aicha amina naima nadia leila karima malika zineb yasmina yasmine ines sana
    mohamed mohammed ahmed ali hassan hussein youssef yusuf mustafa mehmet ibrahim omar karim rachid said abdel samir
    nicolas thomas julien maxime alexandre antoine guillaume sebastien christophe stephane frederic laurent olivier
    philippe thierry pascal eric didier patrick bernard michel alain daniel gerard jacques francois vincent benoit
    quentin kevin jeremy jonathan benjamin romain florian arnaud fabrice david xavier cedric gregory ludovic mathieu
    matthieu raphael lucas hugo louis arthur gabriel nathan theo adrien bruno marc luc andre yves serge jean pierre
    paul marie anne joseph simon samuel emmanuel etienne henri robert roger claude
    anja annelies an ann anke els ellen griet greet hilde ilse ingrid inge joke katrien karen kristel lieve leen
    liesbeth lotte marieke marleen mieke nele sofie saskia tine veerle wendy bart dirk erik filip frank geert gert
    hans jan jeroen johan joris kris koen kurt luk maarten marcel mark peter pieter piet stijn steven sven
    tom wim wouter
    anna angelika andrea barbara birgit claudia elke erika eva gabriele gisela hannah heike helga ines ingeborg julia
    karin katharina katrin klara lena manuela maria martina monika nina petra renate sabine sandra silke simone stefanie
    susanne sybille tanja ulrike ursula ute andreas bernd christian dieter felix fritz georg guenter gunther heinz
    helmut jens joachim johannes jurgen karl klaus lukas manfred markus martin matthias michael moritz oliver
    rainer ralf stefan thorsten torsten ulrich uwe werner wolfgang
    amy ashley emily elizabeth hannah jane jennifer karen katie kate linda lisa lucy margaret mary megan olivia rachel
    rebecca sharon susan andrew anthony brian charles christopher edward george harry jack james john joshua matthew
    richard ryan stephen william
    olga natalia svetlana tatiana irina oksana elena ioana mihaela ana carla giulia chiara francesca giovanni giuseppe
    salvatore antonio marco luca carlos jose miguel pedro joao rosa carmen lucia agnieszka katarzyna malgorzata piotr
    krzysztof ayse emine zeynep hatice elif
    """.split()  # noqa: SIM905 - so many words are read more easily without quotes
)
"""The given names that people of our territories bear most (plain)."""

_NO_GIVEN_ALONE: Final = frozenset(
    [
        "an",
        "ann",
        "rosa",
        "marc",
        "mark",
        "jean",
        "pierre",
        "paul",
        "marie",
        "anne",
        "louis",
        "martin",
        "said",
        "ali",
        "ana",
        "tom",
    ]
)
"""Given names that also stand in the names of streets, houses and things: only somebody to ask for makes them one."""

_SHORTEST_NAME: Final = 3
"""Shorter words are common syllables."""


def named_in(text: str, known: Iterable[str] = (), houses: Iterable[str] = ()) -> bool:
    """Answer whether a text seems to name a person.

    Args:
        text: What a professional would share.
        known: Names that the entry itself tells of its people.
        houses: Names of organisations, services and places that the text may hold.
    """
    free = _DESKS | {word for house in houses for word in plain(house).split()}
    hers = {word for name in known for word in plain(name).split() if len(word) >= _SHORTEST_NAME} - free
    if hers & set(plain(text).split()):
        return True
    return _titled(text, free) or _asked_for(text, free) or _given(text, free)


def _titled(text: str, free: frozenset[str] | set[str]) -> bool:
    for found in _TITLE.finditer(text):
        if found["name"][0].isupper() and plain(found["name"]) not in free and not _of_place(text, found.start()):
            return True
    if any(
        plain(found["name"]) not in free | _AFTER_SHORT and not _of_place(text, found.start())
        for found in _SHORT_LOW.finditer(text)
    ):
        return True
    return any(
        not _of_place(text, found.start()) for found in _INITIAL.finditer(text) if plain(found["name"]) not in free
    )


def _asked_for(text: str, free: frozenset[str] | set[str]) -> bool:
    for found in _ASKING.finditer(text):
        name = plain(found["name"])
        if name in free or found["name"].isupper() or _NUMBERED.match(text[found.end("name") :]):
            continue
        if name in _GIVEN or (found["name"][0].isupper() and not _NOUNS.search(found[0])):
            return True
    return False


def _given(text: str, free: frozenset[str] | set[str]) -> bool:
    return any(
        found[0][0].isupper()
        and not _of_place(text, found.start())
        and not _PLACE_BEHIND.match(text[found.end() :])
        and any(
            word in _GIVEN and word not in free and (word not in _NO_GIVEN_ALONE or _surnamed(text[found.end() :]))
            for word in plain(found[0]).split()
        )
        for found in re.finditer(_NAME, text)
    )


def _surnamed(rest: str) -> bool:
    """Say whether a name written large follows: Paul Lambert, where Paul alone may be a street's."""
    return re.match(r"\s+[A-ZÀ-Þ][a-zà-ÿ]{2,}", rest) is not None


def _of_place(text: str, start: int) -> bool:
    return _OF_PLACE.search(text[max(0, start - 40) : start]) is not None
