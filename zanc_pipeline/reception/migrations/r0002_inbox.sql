CREATE INDEX IF NOT EXISTS delivery_received ON reception.delivery (received_at);
CREATE INDEX IF NOT EXISTS delivery_open ON reception.delivery (received_at)
    WHERE status IN ('quarantined', 'held');
ALTER TABLE reception.delivery ADD COLUMN IF NOT EXISTS content text NOT NULL DEFAULT 'carteira'
    CHECK (content IN ('carteira', 'pagamentos', 'telefones'));
