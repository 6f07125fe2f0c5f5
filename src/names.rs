//! Tables of the names that the values of an enum have in documents, answers and SQL.

/// The name of `value` in a table that lists every value.
pub fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| *name)
}
