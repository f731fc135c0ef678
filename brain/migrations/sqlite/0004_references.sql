-- Frames may be read against one before them: how many sequences before; 0 = read by itself.
ALTER TABLE frames ADD COLUMN reference INTEGER NOT NULL DEFAULT 0;
