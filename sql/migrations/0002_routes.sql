-- A changed route is announced by the database itself, so that no writer can forget to. The payload is the guild
-- whose route should be read again: a hint, never the truth, for any role may NOTIFY.

CREATE FUNCTION announce_mapping() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('sandbox_routes', OLD.guild_id::text);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('sandbox_routes', NEW.guild_id::text);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER sandbox_guild_mapping_announce AFTER INSERT OR UPDATE OR DELETE ON sandbox_guild_mapping
    FOR EACH ROW EXECUTE FUNCTION announce_mapping();

CREATE FUNCTION announce_sandbox() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('sandbox_routes', guild_id::text)
       FROM public.sandbox_guild_mapping WHERE sandbox_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER sandboxes_announce AFTER UPDATE OF status, expires_at ON sandboxes
    FOR EACH ROW EXECUTE FUNCTION announce_sandbox();
