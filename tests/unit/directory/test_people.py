"""Names of persons in tips: refused where a rule can see them; what is said of desks, places and days passes."""

import pytest

from relais_directory.domain.people import named_in

TELLING = [
    # French
    "Demandez Sophie",
    "demandez sophie à l'accueil",
    "Demandez Ouassima au guichet 2.",
    "Mme Dupont répond le mardi.",
    "voir mme dupont",
    "M. Lambert est en congé en août.",
    "Monsieur El Amrani parle arabe.",
    "Madame Peeters connaît bien ces dossiers",
    "Voir avec Nathalie ou sa collègue.",
    "Sandrine est très patiente avec les familles.",
    "C'est Karim qui gère les inscriptions.",
    "Appeler le matin, Fatiha décroche toujours.",
    "S'adresser à Jean-Marc",
    "Paul Lambert s'en occupe.",
    "J. Delvaux tient la permanence.",
    "La directrice, Anne Claes, est ouverte à la discussion.",
    "Contacter Dr. Vermeulen avant.",
    # Dutch
    "Vraag naar Katrien",
    "Mevrouw Janssens helpt graag.",
    "Bel met Wouter voor een afspraak.",
    "Dhr. De Smet is er op dinsdag.",
    "Liesbeth spreekt ook Frans.",
    "mevr. claes neemt op",
    "Spreek met Jeroen aan het loket.",
    # German
    "Frau Schneider spricht Französisch.",
    "Fragen Sie nach Ulrike.",
    "Herr Müller ist montags da.",
    "Wolfgang kennt alle Formulare.",
    "Rufen Sie Claudia an.",
    "Herrn Weber vorher anrufen.",
    # English
    "Ask for Rachel",
    "Mrs Brown knows the forms.",
    "Ms. Taylor is in on Fridays.",
    "Talk to Stephen first.",
    "Margaret answers the phone.",
    "Dr Patel sees families on Monday.",
    "call Oxana before noon",
    "Call Oxana before noon",
]

HARMLESS = [
    # French
    "Demandez l'accueil social, au fond du couloir.",
    "Demandez le service Enfance.",
    "Sonner deux fois, la porte est au fond de la cour.",
    "Voir Annexe 3 du formulaire.",
    "Le mercredi, c'est plus calme.",
    "Rue Victor Hugo, l'entrée est à l'arrière.",
    "Arrêt Jean Jaurès, puis 50 m Gare du Nord.",
    "À côté de l'hôpital Marie Curie.",
    "Près de l'école Sainte-Thérèse.",
    "Place Albert Ier, bâtiment B.",
    "Avenue Paul Pastur 12, deuxième étage.",
    "Appelez CPAS avant de venir.",
    "Contactez Actiris pour l'attestation.",
    "Apporter la carte SIS et une composition de ménage.",
    "Mme la directrice reçoit sur rendez-vous.",
    "Ils parlent arabe, turc et polonais.",
    "Demander une attestation au Forem.",
    "Contacter la Mission Locale de Charleroi.",
    "Venez avant 9 h, sinon la file est longue.",
    "Accepte les enfants sans vaccins à jour depuis Septembre 2025.",
    # Dutch
    "Bel eerst aan bij het onthaal.",
    "Vraag naar het loket Kinderopvang.",
    "De ingang is in de Sint-Jansstraat.",
    "Maandag is het erg druk.",
    "Contacteer Kind en Gezin voor het attest.",
    "Breng je identiteitskaart mee, ook voor de kinderen.",
    "Halte Koning Albert, dan vijf minuten stappen.",
    "Neem een nummertje en wacht in zaal 2.",
    "Er wordt Frans en Engels gesproken.",
    "Op woensdag kan je met de kinderen komen.",
    # German
    "Fragen Sie nach dem Formular A1.",
    "Nach Voranmeldung mit Termin, montags geschlossen.",
    "Fragen Sie nach Terminen im Sekretariat.",
    "Der Eingang liegt in der Klosterstraße.",
    "Mit Kindern am besten mittwochs kommen.",
    "Rufen Sie vormittags an.",
    "Das Jobcenter verlangt eine Bescheinigung.",
    "Die Beratung ist kostenlos und anonym.",
    "In der Nähe der Kirche Sankt Nikolaus.",
    # English
    "Ask for the family desk on the second floor.",
    "Call before coming, the queue is long.",
    "Ring twice; the door is at the back of the yard.",
    "They speak French, Arabic and English.",
    "Monday mornings are quiet.",
    "Bring proof of address and the child's vaccination card.",
    "Entrance on Park Street, behind St John's church.",
    "Ask for Reception on arrival.",
    "See Annex B of the form.",
    "May is their busiest month; will open in June.",
]


@pytest.mark.parametrize("text", TELLING)
def test_who_is_named_is_seen(text: str) -> None:
    assert named_in(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_names_nobody_passes(text: str) -> None:
    assert not named_in(text)


def test_the_names_that_an_entry_tells_are_seen_however_they_are_written() -> None:
    known = ["Zineb El Amrani", "Accueil social"]
    assert named_in("zineb est là le mardi", known)
    assert named_in("AMRANI le mardi", known)
    assert not named_in("L'accueil est au fond, le service social à gauche.", known)


def test_the_names_of_houses_are_no_persons() -> None:
    houses = ["Crèche Sophie", "Maison Emma"]
    assert named_in("Sophie est fermée en août.")
    assert not named_in("Sophie est fermée en août, demandez Emma.", (), houses)
