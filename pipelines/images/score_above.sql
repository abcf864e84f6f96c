-- Images to which a model of the user's own gives a score above a bound.
select
    id,
    scores.name || ' score is ' || round(scores.score, 4) || ', above ' || $max_score as reason,
    scores.name,
    scores.score,
    scores.model
from candidates
join current_image_scores as scores using (image_sha256)
where scores.name = $name and scores.score > $max_score
