"""A database that fails by an error of our choice, for tests of what is then answered."""

WORD = "a word of the database"
"""What it says; nobody outside is to read it."""


def fails(table: str, code: str, when: str = "true") -> str:
    """Answer the SQL by which inserting into a table fails from now on; for its owner.

    Args:
        table: Into which nothing more goes.
        code: The SQLSTATE.
        when: A condition on `new`.
    """
    return f"""
        do $do$ begin
            execute $$ create or replace function fails() returns trigger language plpgsql as
                $f$ begin raise exception '{WORD}' using errcode = '{code}'; end $f$ $$;
            execute $$ create or replace trigger fails before insert on {table} for each row
                when ({when}) execute function fails() $$;
        end $do$
    """
