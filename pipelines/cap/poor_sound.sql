-- Captions of recordings that are hard to hear: clipped, faint, or nearly as loud between words as in them.
select
    id,
    case
        when clipped_share > $max_clipped_share
            then round(100 * clipped_share, 1) || ' percent of the samples are clipped'
        when rms_dbfs < $min_rms_dbfs then 'speech at ' || round(rms_dbfs)::int || ' dB of full scale'
        else 'speech only ' || round(signal_to_noise_db)::int || ' dB above the noise'
    end as reason,
    clipped_share,
    round(rms_dbfs, 1) as rms_dbfs,
    round(signal_to_noise_db, 1) as signal_to_noise_db
from cap
where
    clipped_share > $max_clipped_share
    or rms_dbfs < $min_rms_dbfs
    or signal_to_noise_db < $min_signal_to_noise_db
