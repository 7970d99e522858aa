"""Pages and tables that are made from the code when the site is built; nothing here is committed as text."""
