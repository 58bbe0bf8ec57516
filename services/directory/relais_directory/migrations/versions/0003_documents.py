"""A service is one document: what hung on it in a dozen tables moves into its record (docs/decisions/0009)."""

from relais_shared.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TO_DOCUMENTS = """
alter table organisation add column record jsonb;
update organisation o set record = jsonb_strip_nulls(jsonb_build_object(
    'name', o.name, 'description', o.description, 'email', o.email, 'website', o.website,
    'phones', (select jsonb_agg(jsonb_build_object('number', p.number)) from phone p where p.organisation_id = o.id)));
alter table organisation
    alter record set not null,
    add column content_hash bytea not null default '',
    add column version integer not null default 1,
    add column owned boolean not null default false,
    add column updated_at timestamptz not null default now(),
    drop column description, drop column email, drop column website;
alter table organisation alter content_hash drop default, alter version drop default, alter owned drop default,
    alter updated_at drop default;

alter table service_at_location
    add column number smallint,
    add column position double precision[],
    add column municipality_code varchar,
    add column confidential boolean;
update service_at_location a set number = n.number, position = n.position, municipality_code = n.municipality_code,
    confidential = n.confidential
from (
    select b.id, row_number() over (partition by b.service_id order by b.location_id) - 1 as number, l.position,
        l.municipality_code, l.confidential
    from service_at_location b join location l on l.id = b.location_id
) n where n.id = a.id;

alter table service add column record jsonb;
update service s set record = jsonb_strip_nulls(jsonb_build_object(
    'name', s.name, 'description', s.description, 'alert', s.alert, 'free', s.free, 'fees', s.fees_description,
    'modes', s.modes, 'keywords', nullif(to_jsonb(s.keywords), '[]'), 'conditions', s.conditions,
    'reception', s.reception, 'url', s.url, 'website', s.website, 'email', s.email, 'can_receive', s.can_receive,
    'assured_at', s.assured_date, 'assured_by', s.assurer,
    'updated_at', s.last_modified,
    'themes', (select jsonb_agg(t.code order by t.id) from attribute a join taxonomy_term t on t.id = a.term_id
        where a.service_id = s.id and t.taxonomy = 'themes'),
    'audiences', (select jsonb_agg(t.code order by t.id) from attribute a join taxonomy_term t on t.id = a.term_id
        where a.service_id = s.id and t.taxonomy = 'audiences'),
    'languages', (select jsonb_agg(jsonb_build_object('code', l.code) order by l.code) from language l
        where l.service_id = s.id),
    'service_area', (select jsonb_agg(a.uri order by a.uri) from service_area a where a.service_id = s.id),
    'phones', (select jsonb_agg(jsonb_build_object('number', p.number)) from phone p where p.service_id = s.id),
    'relay_contact', (select jsonb_build_object('name', c.name, 'function', c.title, 'email', c.email,
        'hours', c.hours, 'phone', (select p.number from phone p where p.contact_id = c.id limit 1))
        from contact c where c.service_id = s.id and c.relay limit 1),
    'locations', (select jsonb_agg(jsonb_build_object('id', l.id, 'at_id', a.id, 'name', l.name,
        'address', jsonb_build_object('street', d.address_1, 'postcode', d.postal_code, 'municipality', d.city,
            'municipality_code', l.municipality_code, 'country', d.country),
        'latitude', case when l.precision = 'exact' then l.latitude end,
        'longitude', case when l.precision = 'exact' then l.longitude end,
        'confidential', nullif(l.confidential, false), 'nearest_stop', l.transportation,
        'opening_hours', h.description,
        'wheelchair', (select w.wheelchair from accessibility w where w.location_id = l.id limit 1)) order by a.number)
        from service_at_location a join location l on l.id = a.location_id
        join address d on d.location_id = l.id left join schedule h on h.service_at_location_id = a.id
        where a.service_id = s.id)));
-- A relay contact's own phone stood among the service's.
alter table service
    alter record set not null,
    add column version integer not null default 1,
    add column quality double precision not null default 0,
    add column owned boolean not null default false,
    add column created_at timestamptz not null default now(),
    add column updated_at timestamptz not null default now(),
    add column merged_into uuid,
    add column changed_in bigint not null default pg_current_xact_id()::text::bigint;
alter table service rename assured_date to assured_on;
alter table service rename assurer to assured_by;
update service set status = case when retired_at is not null then 'retired' when status = 'temporarily closed'
    then 'temporarily_closed' when status = 'defunct' then 'retired' else status end,
    updated_at = coalesce(last_modified, now()), content_hash = '';
alter table service alter version drop default, alter quality drop default, alter owned drop default,
    alter created_at drop default, alter updated_at drop default, alter changed_in drop default,
    drop column description, drop column url, drop column website, drop column email, drop column alert,
    drop column free, drop column fees_description, drop column modes, drop column keywords, drop column conditions,
    drop column reception, drop column can_receive, drop column last_modified, drop column texts;
create index service_by_change on service (changed_in, id);
create index service_by_freshness on service (organisation_id, assured_on);

alter table service_at_location drop constraint service_at_location_location_id_fkey,
    alter number set not null, alter confidential set not null;
drop table accessibility, address, attribute, contact, phone, language, schedule, service_area, location cascade;

alter table service_capacity rename updated to updated_at;
alter table service_capacity add column maximum integer, add column unit varchar, add column description varchar,
    add column updated_by varchar;
"""

TABLES = """
drop table search_entry, card, import_run;
create table history (
    id bigserial not null,
    resource_id uuid not null,
    resource_type varchar not null,
    at timestamptz not null,
    action varchar not null,
    field_name varchar not null,
    previous_value jsonb,
    replacement_value jsonb,
    updated_by varchar not null,
    primary key (id)
);
create index history_of_resource on history (resource_id, id);
create table opening (
    id serial not null,
    text varchar not null,
    zone varchar not null,
    country varchar not null,
    primary key (id)
);
create unique index opening_once on opening (text, zone, country);
create table stop (
    id bigserial not null,
    source varchar not null,
    stop_id varchar not null,
    name varchar not null,
    kind varchar,
    latitude double precision not null,
    longitude double precision not null,
    position cube not null,
    primary key (id)
);
create index stop_by_position on stop using gist (position);
create unique index stop_of_source on stop (source, stop_id);
create table import_job (
    id uuid not null,
    organisation_id uuid,
    source varchar not null,
    file varchar not null,
    path varchar not null,
    options jsonb not null,
    state varchar not null,
    created_at timestamptz not null,
    started_at timestamptz,
    ended_at timestamptz,
    bytes_total bigint not null,
    bytes_read bigint not null,
    rows_done bigint not null,
    report jsonb not null,
    reason varchar,
    attempts integer not null,
    primary key (id)
);
create table import_seen (
    job_id uuid not null,
    service_id uuid not null,
    primary key (job_id, service_id),
    foreign key(job_id) references import_job (id) on delete cascade
);
create table campaign (
    id uuid not null,
    name varchar not null,
    older_than_days integer not null,
    started_at timestamptz not null,
    due_on date not null,
    ended_at timestamptz,
    primary key (id)
);
create table saved_search (
    id uuid not null,
    organisation_id uuid not null,
    owner varchar not null,
    name varchar not null,
    query jsonb not null,
    created_at timestamptz not null,
    seen_at timestamptz not null,
    primary key (id)
);
create index ix_saved_search_organisation_id on saved_search (organisation_id);
create table unmet_need (
    id uuid not null,
    theme varchar not null,
    municipality_code varchar not null,
    hours varchar,
    reason varchar not null,
    "on" date not null,
    primary key (id)
);
create index unmet_need_counted on unmet_need (theme, municipality_code);
create table card (
    id bigserial not null,
    service_id uuid not null,
    location_id uuid not null,
    organisation_id uuid not null,
    position cube,
    lead boolean not null,
    areas varchar[] default '{}' not null,
    themes smallint[] not null,
    audiences smallint[] not null,
    modes varchar[] default '{}' not null,
    languages varchar[] default '{}' not null,
    reception varchar[] default '{}' not null,
    wheelchair boolean,
    free boolean,
    confidential boolean not null,
    freshness date not null,
    assured_by varchar,
    available integer,
    waiting_days integer,
    capacity_at timestamptz,
    opening_id integer,
    relay_opening_id integer,
    stop_m integer,
    stops text,
    has_email boolean not null,
    can_receive varchar not null,
    document tsvector not null,
    body text not null,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index card_by_words on card using gin (document);
create index card_by_relay_hours on card (relay_opening_id) where relay_opening_id is not null;
create index card_of_organisation on card (organisation_id, freshness, service_id);
create index card_that_comes on card using gin (areas) where position is null;
create index ix_card_service_id on card (service_id);
-- Lost with a crash, and asked for anew.
create unlogged table search_walk (
    id uuid default gen_random_uuid() not null,
    ids uuid[] not null,
    at timestamptz default now() not null,
    primary key (id)
);
create table search_entry (
    theme smallint not null,
    card_id bigint not null,
    service_id uuid not null,
    position cube,
    alone boolean not null,
    everywhere boolean not null,
    lead boolean not null,
    freshness date not null,
    primary key (theme, card_id),
    foreign key(card_id) references card (id) on delete cascade
);
create index ix_search_entry_card_id on search_entry (card_id);
create index search_by_theme_and_position on search_entry using gist (theme, position)
    include (alone, card_id, service_id);
create index search_everywhere on search_entry (theme, service_id) where everywhere;
create index search_without_place on search_entry (theme, freshness, service_id) where lead;
create table campaign_entry (
    campaign_id uuid not null,
    service_id uuid not null,
    organisation_id uuid not null,
    answered_at timestamptz,
    outcome varchar,
    primary key (campaign_id, service_id),
    foreign key(campaign_id) references campaign (id) on delete cascade,
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_campaign_entry_organisation_id on campaign_entry (organisation_id);
create index ix_campaign_entry_service_id on campaign_entry (service_id);
create table duplicate (
    id uuid not null,
    first_id uuid not null,
    second_id uuid not null,
    score double precision not null,
    reasons jsonb not null,
    state varchar not null,
    kept_id uuid,
    before jsonb,
    found_at timestamptz not null,
    decided_at timestamptz,
    decided_by varchar,
    primary key (id),
    foreign key(first_id) references service (id) on delete cascade,
    foreign key(second_id) references service (id) on delete cascade
);
create unique index duplicate_once on duplicate (first_id, second_id);
create index ix_duplicate_first_id on duplicate (first_id);
create index ix_duplicate_second_id on duplicate (second_id);
create table remark (
    id uuid not null,
    service_id uuid not null,
    organisation_id uuid not null,
    kind varchar not null,
    field varchar,
    text varchar,
    at timestamptz not null,
    answer varchar,
    corrected boolean,
    answered_at timestamptz,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_remark_service_id on remark (service_id);
create index remark_of_service on remark (service_id, at);
create table tip (
    id uuid not null,
    service_id uuid not null,
    organisation_id uuid not null,
    text varchar not null,
    at timestamptz not null,
    withdrawn_at timestamptz,
    primary key (id),
    foreign key(service_id) references service (id) on delete cascade
);
create index ix_tip_service_id on tip (service_id);
create index tip_of_service on tip (service_id, at);
"""

PRIVILEGES = """
grant select, insert, update, delete on all tables in schema public to relais_directory;
revoke insert, update, delete on alembic_version from relais_directory;
-- What was changed, and by whom, is not changed afterwards.
revoke update, delete on history from relais_directory;
grant usage on all sequences in schema public to relais_directory;
-- After an import its own role sweeps and counts; older servers leave that to autovacuum.
do $$ begin
    if current_setting('server_version_num')::int >= 170000 then
        grant maintain on card, search_entry, service, service_at_location to relais_directory;
    end if;
end $$;
"""


def upgrade() -> None:
    for script in (TO_DOCUMENTS, TABLES, PRIVILEGES):
        run_script(script)


def downgrade() -> None:
    raise NotImplementedError("Documents hold more than the tables before them: restore a backup instead.")
