"""Pages and tables that are generated from the code when the site is built; the pages are not committed."""
