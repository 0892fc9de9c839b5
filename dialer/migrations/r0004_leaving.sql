-- What an operator wants to be after the present call.
ALTER TABLE operator ADD COLUMN leaving text CHECK (leaving IN ('paused', 'offline'));
