"""The directory's tables, and what its role may do with them."""

from relais_shared.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The extensions are there already where `relais up` made the database; elsewhere their owner may be another.
EXTENSIONS = """
create extension if not exists cube;
create extension if not exists btree_gist;
create extension if not exists pg_trgm;
"""

TABLES = """
create table import_run (
    id uuid not null,
    source varchar not null,
    file varchar not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    report jsonb not null,
    primary key (id)
);
create table loaded (
    name varchar not null,
    version varchar not null,
    primary key (name)
);
create table organisation (
    id uuid not null,
    source varchar not null,
    record_id varchar not null,
    name varchar not null,
    description varchar,
    email varchar,
    website varchar,
    primary key (id)
);
create unique index organisation_of_source on organisation (source, record_id);
create table place (
    code varchar not null,
    kind varchar not null,
    parent varchar,
    country varchar not null,
    region varchar not null,
    province varchar not null,
    name varchar not null,
    name_fr varchar not null,
    name_nl varchar not null,
    name_de varchar not null,
    names varchar not null,
    postcodes varchar[] default '{}' not null,
    latitude double precision not null,
    longitude double precision not null,
    position cube not null,
    precision varchar not null,
    population integer not null,
    primary key (code)
);
create index place_by_postcode on place using gin (postcodes);
create index place_by_position on place using gist (position);
create index place_by_name on place using gin (names gin_trgm_ops);
create table registered_organisation (
    id uuid not null,
    version integer not null,
    facts jsonb not null,
    primary key (id)
);
create table taxonomy_term (
    id smallint not null,
    taxonomy varchar not null,
    code varchar not null,
    parent varchar,
    labels jsonb not null,
    sensitive boolean not null,
    shape varchar,
    symbol varchar,
    primary key (id),
    unique (code)
);
create table vocabulary (
    word varchar not null,
    primary key (word)
);
create index word_by_likeness on vocabulary using gin (word gin_trgm_ops);
create table location (
    id uuid not null,
    organisation_id uuid not null,
    name varchar,
    location_type varchar not null,
    latitude double precision,
    longitude double precision,
    position double precision[],
    precision varchar not null,
    municipality_code varchar,
    confidential boolean not null,
    transportation varchar,
    primary key (id),
    foreign key(organisation_id) references organisation (id) on delete cascade
);
create index ix_location_organisation_id on location (organisation_id);
create table service (
    id uuid not null,
    organisation_id uuid not null,
    source varchar not null,
    record_id varchar not null,
    name varchar not null,
    description varchar,
    url varchar,
    website varchar,
    email varchar,
    status varchar not null,
    alert varchar,
    free boolean,
    fees_description varchar,
    modes varchar[] default '{}' not null,
    keywords varchar[] default '{}' not null,
    conditions jsonb,
    reception jsonb,
    can_receive varchar not null,
    assured_date date,
    assurer varchar,
    last_modified timestamptz,
    texts text[] not null,
    content_hash bytea not null,
    retired_at timestamptz,
    primary key (id),
    foreign key(organisation_id) references organisation (id) on delete cascade
);
create unique index service_of_source on service (source, record_id);
create index ix_service_organisation_id on service (organisation_id);
create table accessibility (
    id uuid not null,
    location_id uuid not null,
    description varchar not null,
    wheelchair boolean not null,
    primary key (id),
    foreign key(location_id) references location (id) on delete cascade
);
create index ix_accessibility_location_id on accessibility (location_id);
create table address (
    id uuid not null,
    location_id uuid not null,
    address_1 varchar,
    city varchar,
    postal_code varchar,
    country varchar not null,
    address_type varchar not null,
    primary key (id),
    foreign key(location_id) references location (id) on delete cascade
);
create index ix_address_location_id on address (location_id);
create table attribute (
    service_id uuid not null,
    term_id smallint not null,
    primary key (service_id, term_id),
    foreign key(service_id) references service (id) on delete cascade,
    foreign key(term_id) references taxonomy_term (id)
);
create table card (
    id bigserial not null,
    service_id uuid not null,
    location_id uuid not null,
    organisation_id uuid not null,
    position cube,
    lead boolean not null,
    areas varchar[] default '{}' not null,
    themes smallint[] not null,
    confidential boolean not null,
    freshness date not null,
    assured_by varchar,
    hours varchar,
    time_zone varchar not null,
    country varchar not null,
    has_email boolean not null,
    can_receive varchar not null,
    document tsvector not null,
    body text not null,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_card_service_id on card (service_id);
create index card_of_organisation on card (organisation_id, freshness, service_id);
create index card_by_words on card using gin (document);
create index card_that_comes on card using gin (areas) where position is null;
create table contact (
    id uuid not null,
    service_id uuid not null,
    name varchar not null,
    title varchar,
    email varchar,
    hours varchar,
    relay boolean not null,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_contact_service_id on contact (service_id);
create table language (
    id uuid not null,
    service_id uuid not null,
    code varchar not null,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_language_service_id on language (service_id);
create table service_area (
    id uuid not null,
    service_id uuid not null,
    uri varchar not null,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_service_area_service_id on service_area (service_id);
create table service_at_location (
    id uuid not null,
    service_id uuid not null,
    location_id uuid not null,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade,
    foreign key(location_id) references location (id) on delete cascade
);
create index ix_service_at_location_location_id on service_at_location (location_id);
create index ix_service_at_location_service_id on service_at_location (service_id);
create table service_capacity (
    service_id uuid not null,
    available integer not null,
    waiting_days integer,
    updated timestamptz not null,
    primary key (service_id),
    foreign key(service_id) references service (id) on delete cascade
);
create table phone (
    id uuid not null,
    organisation_id uuid,
    service_id uuid,
    contact_id uuid,
    number varchar not null,
    primary key (id),
    foreign key(organisation_id) references organisation (id) on delete cascade,
    foreign key(service_id) references service (id) on delete cascade,
    foreign key(contact_id) references contact (id) on delete cascade
);
create index ix_phone_organisation_id on phone (organisation_id);
create index ix_phone_service_id on phone (service_id);
create index ix_phone_contact_id on phone (contact_id);
create table schedule (
    id uuid not null,
    service_at_location_id uuid not null,
    description varchar not null,
    time_zone varchar not null,
    primary key (id),
    foreign key(service_at_location_id) references service_at_location (id) on delete cascade
);
create index ix_schedule_service_at_location_id on schedule (service_at_location_id);
create table search_entry (
    theme smallint not null,
    card_id bigint not null,
    service_id uuid not null,
    position cube,
    alone boolean not null,
    lead boolean not null,
    freshness date not null,
    primary key (theme, card_id),
    foreign key(card_id) references card (id) on delete cascade
);
create index search_by_theme_and_position on search_entry using gist (theme, position);
create index search_without_place on search_entry (theme, freshness, service_id) where lead;
create index ix_search_entry_card_id on search_entry (card_id);
"""

PRIVILEGES = """
grant select, insert, update, delete on all tables in schema public to relais_directory;
revoke insert, update, delete on alembic_version from relais_directory;
grant usage on all sequences in schema public to relais_directory;
"""


def upgrade() -> None:
    for script in (EXTENSIONS, TABLES, PRIVILEGES):
        run_script(script)


def downgrade() -> None:
    run_script("""
        drop table search_entry, card, attribute, taxonomy_term, service_capacity, service_area, accessibility,
            language, phone, contact, schedule, service_at_location, address, location, service, organisation,
            vocabulary, import_run, loaded, place, registered_organisation;
    """)
