"""Each alert of deploy/alerts.yml, made to fire and to end by what it is for."""
