//! How long an answer may be, with reasons.

/// Most namespaces that a status names; service discovery names all.
pub(crate) const STATUS_NAMESPACES_MAX: usize = 1_000;
/// Most conflicts that a status names: whoever has more needs the first to find the cause.
pub(crate) const STATUS_CONFLICTS_MAX: usize = 50;
/// Workers of one page of the list, if `limit` does not say, and at most: some 250 kB of JSON.
pub(crate) const WORKERS_LIMIT_DEFAULT: usize = 100;
/// See [`WORKERS_LIMIT_DEFAULT`].
pub(crate) const WORKERS_LIMIT_MAX: usize = 1_000;
/// Most hosts that a list of workers sums up, those with the most live workers first.
pub(crate) const HOSTS_MAX: usize = 500;
/// Families of one page, if `limit` does not say, and at most: label values are counted for each.
pub(crate) const FAMILIES_LIMIT_DEFAULT: usize = 20;
/// See [`FAMILIES_LIMIT_DEFAULT`].
pub(crate) const FAMILIES_LIMIT_MAX: usize = 200;
/// Most labels of a family that values are listed for, those with the most values first.
pub(crate) const FAMILY_LABELS_MAX: usize = 8;
/// Most values listed per label, those with the most series first.
pub(crate) const LABEL_VALUES_MAX: usize = 5;
/// Longest label value listed, in characters; longer ones are cut.
pub(crate) const LABEL_VALUE_CHARACTERS_MAX: usize = 120;
