"""Makes the table; a second time there is nothing to do."""

from notes import database

with database() as connection:
    connection.run("CREATE TABLE notes (id SERIAL PRIMARY KEY, text TEXT NOT NULL)")
print("the table is made")
