"""Who may ask on the admin port: browsers, bearer tokens, client certificates, the API server."""
