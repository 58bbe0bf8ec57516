"""Phrases as counsellors and persons type them, and the themes that they mean (docs/words.md)."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relais_directory.data import lookalikes, themes, words
from relais_directory.domain.words import ASKING, EMPTY, Lexicon, Meaning, plain, root

LEXICON = Lexicon(
    {slug: [word for group in told.values() for word in group] for slug, told in words().items()}, lookalikes()
)

MEANT = """
    # Minding children, in French
    nounou                                              childcare
    Nounous                                             childcare
    NOUNOU agréée                                       childcare--childminder
    crèche                                              childcare--nursery
    creches                                             childcare--nursery
    CRÈCHES                                             childcare--nursery
    je cherche une place en crèche                      childcare--nursery
    micro-crèche                                        childcare--nursery
    halte-garderie                                      childcare--occasional
    halte garderie                                      childcare--occasional
    haltes-garderies                                    childcare--occasional
    accueil d'urgence pour bébé                         childcare--occasional childcare--nursery
    garder mes enfants                                  childcare
    garde d'enfants                                     childcare
    garde d\u2019enfant                                 childcare
    garder mes deux enfants                             childcare
    faire garder mon fils                               childcare | fil
    je cherche quelqu'un pour garder mon bébé le mercredi  childcare | mercredi
    mode de garde                                       childcare
    babysitting                                         childcare
    baby-sitting                                        childcare
    baby sitting                                        childcare
    baby-sitters                                        childcare
    O.N.E.                                              childcare support--health
    ONE                                                 childcare support--health
    accueillante d'enfants                              childcare--childminder
    accueillantes                                       childcare--childminder
    gardienne encadrée                                  childcare--childminder
    assistante maternelle                               childcare--childminder
    assistantes maternelles                             childcare--childminder
    école de devoirs                                    childcare--after-school
    écoles des devoirs                                  childcare--after-school
    aide aux devoirs                                    childcare--after-school
    accueil extra-scolaire                              childcare--after-school
    plaine de vacances                                  childcare--after-school
    stages pour enfants                                 childcare--after-school
    A.T.L.                                              childcare--after-school
    garde enfant malade                                 childcare--sick-child
    mon enfant est malade                               childcare--sick-child
    horaires décalés                                    childcare--flexible-hours
    travail de nuit                                     childcare--flexible-hours
    BEPS                                                childcare training--vocational
    B.E.P.S.                                            childcare training--vocational
    # Getting about, in French
    permis B                                            mobility--driving-licence
    permis                                              mobility--driving-licence
    permis de conduire                                  mobility--driving-licence
    passer mon permis                                   mobility--driving-licence
    permis théorique                                    mobility--driving-licence
    auto-école                                          mobility--driving-licence
    autoécole                                           mobility--driving-licence
    auto école sociale                                  mobility--driving-licence
    bus                                                 mobility--public-transport
    abonnement TEC                                      mobility--public-transport
    T.E.C.                                              mobility--public-transport
    abonnements de train                                mobility--public-transport
    Car Jaune                                           mobility--public-transport
    transports en commun                                mobility--public-transport
    covoiturage                                         mobility--sharing
    co-voiturage                                        mobility--sharing
    co voiturage                                        mobility--sharing
    autopartage                                         mobility--sharing
    taxi social                                         mobility--accompanied-transport
    personnes à mobilité réduite                        mobility--accompanied-transport
    réparer ma voiture                                  mobility--vehicle
    location de scooter                                 mobility--vehicle
    vélos électriques                                   mobility--bike
    vélo                                                mobility--bike
    frais de déplacements                               mobility--cost
    chèque mobilité                                     mobility--cost
    comment me déplacer sans voiture                    mobility mobility--vehicle | san
    # Learning, in French
    formation                                           training
    CISP                                                training
    C.I.S.P.                                            training
    cours du soir                                       training
    cours                                               training
    FLE                                                 training--languages
    F.L.E                                               training--languages
    apprendre le français                               training--languages
    cours de français                                   training--languages
    cours de neerlandais                                training--languages
    COURS DE NÉERLANDAIS                                training--languages
    tables de conversation                              training--languages
    je ne parle pas français                            training--languages
    ALPHA                                               training--literacy-numeracy
    alphabétisation                                     training--literacy-numeracy
    je ne sais pas lire                                 training--literacy-numeracy
    apprendre à lire et à écrire                        training--literacy-numeracy
    C.E.B.                                              training--literacy-numeracy
    formation de soudeur                                training training--vocational
    aide-soignante                                      training--vocational
    aides soignantes                                    training--vocational
    métiers en pénurie                                  training--vocational
    cours d'informatique                                training--digital
    apprendre à utiliser un ordinateur                  training training--digital
    orientation professionnelle                         training--guidance
    bilan de compétences                                training--guidance
    décrochage scolaire                                 training--guidance
    équivalence de diplôme                              training--recognition-of-skills
    equivalences de diplomes                            training--recognition-of-skills
    VAE                                                 training--recognition-of-skills mobility--bike
    validation des compétences                          training--recognition-of-skills
    chèques-formation                                   training--funding
    bourse d'études                                     training--funding
    # Support, in French
    CPAS                                                support
    C.P.A.S.                                            support
    c.p.a.s                                             support
    assistante sociale                                  support
    emploi                                              support--employment
    je cherche du travail                               support--employment
    travaux                                             support--employment
    lettre de motivation                                support--employment
    faire mon CV                                        support--employment
    demandeuses d'emploi                                support--employment
    logement                                            support--housing
    logements sociaux                                   support--housing
    loyers impayés                                      support--housing
    coupure de gaz                                      support--housing
    logement d'urgence                                  support--shelter
    hébergement d'urgence                               support--shelter
    je suis à la rue, où dormir ?                       support--shelter | rue
    sans-abri                                           support--shelter
    S.D.F.                                              support--shelter
    surendettement                                      support--debt
    médiation de dettes                                 support--debt
    je n'arrive pas à payer mes factures                support--debt | arrive payer
    huissiers                                           support--debt
    colis alimentaire                                   support--food-clothing
    colis alimentaires                                  support--food-clothing
    restos du cœur                                      support--food-clothing
    des vêtements pour enfants                          support--food-clothing | enfant
    titres-services                                     support--home-help
    titre service                                       support--home-help
    titresservices                                      support--home-help
    aide ménagère                                       support--home-help
    aides familiales                                    support--home-help
    repas à domicile                                    support--home-help
    allocations familiales                              support--rights
    remplir un formulaire                               support--rights
    R.I.S.                                              support--rights
    écrivain public                                     support--rights
    imprimer un document                                support--digital-access
    avocat pro deo                                      support--legal
    aide juridique                                      support--legal
    aidants proches                                     support--carers
    famille monoparentale                               support--family
    je suis enceinte                                    support--family
    je me sens seul                                     support--social-link
    bénévolat                                           support--social-link
    devenir indépendante                                support--business-creation
    microcrédit                                         support--business-creation
    travailler à l'étranger                             support--working-abroad
    # Sensitive themes, in French
    médecin                                             support--health
    je cherche un dentiste                              support--health
    planning familial                                   support--health
    dépression                                          support--mental-health
    psychologues                                        support--mental-health
    burn-out                                            support--mental-health
    burnout                                             support--mental-health
    idées noires                                        support--mental-health
    personne handicapée                                 support--disability
    fauteuils roulants                                  support--disability
    alcoolisme                                          support--addiction
    arrêter de boire                                    support--addiction
    violences conjugales                                support--violence
    mon mari me frappe                                  support--violence
    femmes battues                                      support--violence
    titre de séjour                                     support--residence
    sans-papiers                                        support--residence
    demandeurs d'asile                                  support--residence
    sortie de prison                                    support--justice
    bracelets électroniques                             support--justice
    # Typing errors
    crehce                                              childcare--nursery
    créche                                              childcare--nursery
    crrèche                                             childcare--nursery
    nounuo                                              childcare
    halte gardrie                                       childcare--occasional
    garde d'enfnats                                     childcare
    acueillante                                         childcare--childminder
    permi                                               mobility--driving-licence
    permi de conduire                                   mobility--driving-licence
    permis de conduir                                   mobility--driving-licence
    permsi de conduire                                  mobility--driving-licence
    covoiturrage                                        mobility--sharing
    covoiturgae                                         mobility--sharing
    abonement de trian                                  mobility--public-transport
    formtion                                            training
    fromation                                           training
    aprendre le francais                                training--languages
    neerlandias                                         training--languages
    alphabétistion                                      training--literacy-numeracy
    alphabétisassion                                    training--literacy-numeracy
    equivalance de diplome                              training--recognition-of-skills
    logment                                             support--housing
    apartement                                          support--housing
    surrendettement                                     support--debt
    surendetement                                       support--debt
    colis alimentere                                    support--food-clothing
    asistante sociale                                   support
    aide juridque                                       support--legal
    psycologue                                          support--mental-health
    violances conjugales                                support--violence
    # Dutch
    kinderopvang                                        childcare
    kinder opvang                                       childcare
    kinderopvnag                                        childcare
    opvang voor mijn kinderen                           childcare
    onthaalouders                                       childcare--childminder
    kinderdagverblijven                                 childcare--nursery
    buitenschoolse opvang                               childcare--after-school
    ziek kind                                           childcare--sick-child
    rijbewijs                                           mobility--driving-licence
    rijbewijzen                                         mobility--driving-licence
    rijbewij                                            mobility--driving-licence
    rijlessen                                           mobility--driving-licence
    openbaar vervoer                                    mobility--public-transport
    fietsen                                             mobility--bike
    ik zoek een fiets                                   mobility--bike
    autodelen                                           mobility--sharing
    minder mobielen centrale                            mobility--accompanied-transport
    opleidingen                                         training
    Nederlands leren                                    training--languages
    ik wil Nederlands leren                             training--languages
    leren lezen                                         training--literacy-numeracy
    knelpuntberoepen                                    training--vocational
    diploma laten erkennen                              training--recognition-of-skills
    OCMW                                                support
    O.C.M.W.                                            support
    hulp nodig met schulden                             support--debt
    schuldbemideling                                    support--debt
    werk zoeken                                         support--employment
    vacatures                                           support--employment
    sociale woningen                                    support--housing
    dakloos                                             support--shelter
    voedselpakketten                                    support--food-clothing
    dienstencheques                                     support--home-help
    kinderbijslag                                       support--rights
    huisarts                                            support--health
    verslaving                                          support--addiction
    partnergeweld                                       support--violence
    verblijfsvergunning                                 support--residence
    gevangenissen                                       support--justice
    # German
    Kinderbetreuung                                     childcare
    Tagesmutter                                         childcare--childminder
    Tagesmütter                                         childcare--childminder
    Kinderkrippen                                       childcare--nursery
    außerschulische Betreuung                           childcare--after-school
    ausserschulische betreuung                          childcare--after-school
    Führerschein                                        mobility--driving-licence
    fuhrerschein                                        mobility--driving-licence
    Fuehrerschein                                       mobility--driving-licence
    Führerschien                                        mobility--driving-licence
    Fahrstunden                                         mobility--driving-licence
    Fahrräder                                           mobility--bike
    Fahrrad reparieren                                  mobility--bike
    öffentliche Verkehrsmittel                          mobility--public-transport
    Mitfahrgelegenheiten                                mobility--sharing
    Deutschkurs                                         training--languages
    Deutschkurse                                        training--languages
    Deutsch Kurs                                        training--languages
    ich möchte Deutsch lernen                           training--languages
    Weiterbildungen                                     training
    Lesen und Schreiben                                 training--literacy-numeracy
    Anerkennung von Diplomen                            training--recognition-of-skills
    ÖSHZ                                                support
    OeSHZ                                               support
    Arbeit suchen                                       support--employment
    ich suche Arbeit                                    support--employment
    Wohnungen                                           support--housing
    ich suche eine Wohnung                              support--housing
    Schuldnerberatung                                   support--debt
    Schulden                                            support--debt
    Haushaltshilfe                                      support--home-help
    Kindergeld                                          support--rights
    Rechtsanwalt                                        support--legal
    Zahnärzte                                           support--health
    Frauenhaus                                          support--violence
    Aufenthaltstitel                                    support--residence
    # English
    childcare                                           childcare
    child care                                          childcare
    nannies                                             childcare
    someone to look after my children                   childcare
    nursery                                             childcare--nursery
    childminders                                        childcare--childminder
    after-school club                                   childcare--after-school
    driving licence                                     mobility--driving-licence
    driving license                                     mobility--driving-licence
    driving lisence                                     mobility--driving-licence
    bus pass                                            mobility--public-transport
    I need a car                                        mobility--vehicle
    car sharing                                         mobility--sharing
    bike repair                                         mobility--bike
    French lessons                                      training--languages
    I want to learn French                              training--languages
    I cannot read                                       training--literacy-numeracy
    digital skills                                      training--digital
    looking for a job                                   support--employment
    unemploymnet                                        support--employment
    rent arrears                                        support--housing
    homeless                                            support--shelter
    food bank                                           support--food-clothing
    legal aid                                           support--legal
    domestic violence                                   support--violence
    asylum seekers                                      support--residence
    # Several needs at once
    crèche et permis                                    childcare--nursery mobility--driving-licence
    cours de français à Charleroi                       training--languages | charleroi
    halte-garderie Marcinelle                           childcare--occasional | marcinelle
    crèche les Petits Lutins                            childcare--nursery | lutin
"""
"""Each line: what is written, two blanks or more, the themes that it means; after a bar the words left for texts."""

LEFT = """
    # Places and people
    orange                  orange
    Charleroi               charleroi
    Liège                   liege
    Saint-Denis             saint deni
    Gand                    gand
    Eupen                   eupen
    Tienen                  tienen
    Balen                   balen
    Dupont                  dupont
    Martin                  martin
    Peeters                 peeter
    Hoarau                  hoarau
    Boyer                   boyer
    Schmitz                 schmitz
    Camille François        camille francoi
    # One letter from a word that we know, and another word
    permets                 permet
    permet                  permet
    parmi                   parmi
    but                     but
    buts                    but
    court                   court
    courtes                 courte
    cour                    cour
    courbe                  courbe
    foyer                   foyer
    grain                   grain
    tours                   tour
    ville                   ville
    taille                  taille
    reste                   reste
    festival                festival
    panier                  panier
    large                   large
    sauce                   sauce
    voile                   voile
    hôtel                   hotel
    langage                 langage
    collègue                collegue
    interne                 interne
    BEP                     bep
    bis                     bis
    lijnt                   lijnt
    engel                   engel
    water                   water
    gezicht                 gezicht
    Rusland                 rusland
    verkeer                 verkeer
    Lehrer                  lehrer
    Freiheit                freiheit
    Geschichte              geschichte
    schlafen                schlafen
    poison                  poison
    stranger                stranger
    wedding                 wedding
    process                 proces
    # Two letters from one
    transfert               transfert
    transformation          transformation
    fondation               fondation
    invention               invention
    Bevölkerung             bevolkerung
    geschiedenis            geschiedeni
    Schwester               schwester
    # A word of asking says something only where nothing else does
    aide                    aide
    j'ai besoin d'aide      besoin aide
    enfant                  enfant
    service                 service
    # Long enough for nothing
    perm                    perm
    cre                     cre
    123                     123
    article                 article
"""
"""What names no theme, and the words that are left to be found in texts."""


def rows(table: str) -> list[tuple[str, str]]:
    """Answer the lines of a table: what is written and what is expected."""
    lines = [line.strip() for line in table.splitlines()]
    found = [re.split(r"\s{2,}", line, maxsplit=1) for line in lines if line and not line.startswith("#")]
    return [(written, expected) for written, expected in found]


KNOWN = [
    word
    for told in words().values()
    for spelt in told.values()
    for word in spelt
    if len(plain(word).split()) == 1 and LEXICON.meaning(word).themes
]
"""The single words of the table that comes with the directory."""


OTHERS = {plain(word) for word in (*KNOWN, *lookalikes())} | ASKING | EMPTY
ROOTS = {
    root(word) for told in words().values() for spelt in told.values() for one in spelt for word in plain(one).split()
}
"""What a mistyped word may turn out to be: another, or another's form."""


def test_the_tables_are_as_long_as_they_should_be() -> None:
    """Two hundred phrases at least, each once, each of themes that there are."""
    meant = [written for written, _ in rows(MEANT)]
    assert len(meant) >= 200
    assert len(set(meant)) == len(meant)
    assert {slug for _, expected in rows(MEANT) for slug in expected.partition(" | ")[0].split()} <= set(themes())


@pytest.mark.parametrize(("written", "expected"), rows(MEANT))
def test_a_phrase_means(written: str, expected: str) -> None:
    """Exactly these themes: neither fewer nor more."""
    slugs, _, left = expected.partition(" | ")
    meaning = LEXICON.meaning(written)
    assert (sorted(meaning.themes), meaning.words) == (sorted(slugs.split()), tuple(left.split()))


@pytest.mark.parametrize(("written", "left"), rows(LEFT))
def test_a_phrase_means_no_theme(written: str, left: str) -> None:
    meaning = LEXICON.meaning(written)
    assert (meaning.themes, meaning.words) == ((), tuple(left.split()))


def test_of_several_words_equally_near_all_are_meant() -> None:
    """Too much is easier to narrow than nothing, and `why` says which."""
    lexicon = Lexicon({"childcare": ["marelle"], "mobility": ["marette"], "training": ["marelles roses"]})
    assert lexicon.meaning("marenne") == Meaning(themes=(), words=("marenne",), spelt=("marenne",))
    assert lexicon.meaning("maresse").themes == ()
    assert lexicon.meaning("marefle").themes == ("childcare",)
    assert lexicon.meaning("mareete").themes == ("mobility",)
    assert lexicon.meaning("maretle").themes == ("childcare", "mobility")


def test_an_exact_word_goes_before_a_near_one() -> None:
    lexicon = Lexicon({"childcare": ["garderie"], "mobility": ["garderies fermées"], "training": ["carderie"]})
    assert lexicon.meaning("garderie").themes == ("childcare",)
    assert lexicon.meaning("carderie").themes == ("training",)


def test_the_longest_phrase_goes_first() -> None:
    """A hired car is no rented flat."""
    assert LEXICON.meaning("location de voiture").themes == ("mobility--vehicle",)
    assert LEXICON.meaning("location").themes == ("support--housing",)


def test_words_of_asking_stand_between_but_not_without_end() -> None:
    lexicon = Lexicon({"childcare": ["garder enfants"]})
    assert lexicon.meaning("garder deux petits enfants").themes == ("childcare",)
    assert lexicon.meaning("garder " + "deux " * 4 + "enfants").themes == ()


def test_a_lookalike_is_never_taken_for_a_word() -> None:
    assert Lexicon({"mobility": ["transport"]}).meaning("transpord").themes == ("mobility",)
    assert Lexicon({"mobility": ["transport"]}, ["transpord"]).meaning("transpord").themes == ()
    assert Lexicon({"mobility": ["transport"]}, ["transport"]).meaning("transport").themes == ("mobility",)


def test_no_lookalike_means_a_theme() -> None:
    """One that does stands in vain, or in the wrong list."""
    known = {plain(word) for told in words().values() for spelt in told.values() for word in spelt}
    assert [word for word in lookalikes() if plain(word) not in known and LEXICON.meaning(word).themes] == []
    assert [word for word in lookalikes() if plain(word) in known] == []


@given(st.text())
def test_any_text_has_a_meaning(text: str) -> None:
    """The same as its plain form, and nothing is said twice."""
    meaning = LEXICON.meaning(text)
    assert LEXICON.meaning(plain(text)) == meaning
    assert len(set(meaning.themes)) == len(meaning.themes)
    assert len(meaning.words) == len(meaning.spelt)


@given(st.lists(st.sampled_from([written for written, _ in rows(MEANT)]), max_size=4))
def test_what_is_known_loses_no_word(phrases: list[str]) -> None:
    """Whatever stands beside, every word of a query leads to a theme, is left for texts, or says nothing."""
    query = " ".join(phrases)
    meaning = LEXICON.meaning(query)
    written = plain(query).split()
    assert all(word in written for phrase in (*meaning.by, *meaning.spelt) for word in phrase.split())
    assert bool(meaning.themes) == bool(meaning.by)


SIGNS = ("accent", "case", "blanks", "full stop")


@given(st.sampled_from(rows(MEANT)), st.sampled_from(SIGNS))
def test_accents_case_and_signs_change_nothing(row: tuple[str, str], sign: str) -> None:
    written, _ = row
    changed = {
        "accent": plain(written),
        "case": written.swapcase(),
        "blanks": f"  {written.replace(' ', '   ')} ",
        "full stop": f"« {written} »!?",
    }[sign]
    assert LEXICON.meaning(changed) == LEXICON.meaning(written)


@given(st.sampled_from([word for word in map(plain, KNOWN) if len(word) > 3 and word[-1] not in "sxz0123456789"]))
def test_a_plural_means_the_same(word: str) -> None:
    assume(f"{word}s" not in OTHERS)
    assert set(LEXICON.meaning(word).themes) <= set(LEXICON.meaning(f"{word}s").themes)


@given(st.sampled_from([word for word in map(plain, KNOWN) if len(word) >= 7 and word.isalpha()]), st.data())
def test_one_letter_wrong_in_a_long_word_is_forgiven(word: str, data: st.DataObject) -> None:
    """One of its themes is found all the same, unless the error makes another word that we know."""
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    wrong = data.draw(
        st.sampled_from(
            [
                word[:at] + letter + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + word[at + 1 :],
                word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
            ]
        )
    )
    meant = set(LEXICON.meaning(wrong).themes)
    assert meant & set(LEXICON.meaning(word).themes) or wrong in OTHERS or root(wrong) in ROOTS
