-- Rows that the newest train probe finds likelier of other images than of their own.
select
    id,
    'the probe of a release finds it likelier of other images, by ' || round(-found.evidence, 1) || ' nats' as reason,
    found.evidence,
    found.release
from candidates
join current_probe_evidence as found using (id)
where found.subset = $subset and found.evidence < -$min_nats
