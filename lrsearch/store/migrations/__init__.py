"""The versions of the tables, shipped with the package; `lrsearch db migrate` brings a database to the newest."""
