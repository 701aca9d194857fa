-- Lists stay quick, however many sandboxes have been destroyed.

CREATE INDEX sandboxes_living_idx ON sandboxes (created_at DESC, id) WHERE status <> 'destroyed';
CREATE INDEX sandboxes_created_idx ON sandboxes (created_at DESC, id);
