-- Calls that localization refused for good: they are counted for every scrape.
CREATE INDEX attempt_refused ON attempt (closed_number)
    WHERE exported_at IS NULL AND export_error IS NOT NULL;
-- Leads in a call, by campaign: whether it is over is asked every second.
CREATE INDEX lead_active ON lead (campaign_id) WHERE status = 'active';
-- What operators did since a moment: occupancy.
CREATE INDEX operator_time_end ON operator_time (ended_at);
