-- Images under a licence that is not among those accepted.
select
    id,
    coalesce('image is under ' || license, 'licence of the image is not known') as reason,
    license
from candidates
join images using (image_sha256)
where not coalesce(list_contains(string_split(upper($accepted), ' '), upper(license)), $accept_unknown)
