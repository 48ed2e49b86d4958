//! Where an item is declared, and which one a path names.

/// Whether `type_name` lies directly in `module`, not inside a function's body there.
pub(crate) fn is_module_level(module: &str, type_name: &str) -> bool {
    type_name.strip_prefix(module).and_then(|rest| rest.strip_prefix("::")).is_some_and(|name| !name.contains("::"))
}

/// How well an item fits a path that stands in this module; 0 if it does not.
pub(crate) fn means(path: &str, module: &str, item_module: &str, item: &str) -> u8 {
    let mut segments: Vec<&str> = path.split("::").collect();
    if segments.pop() != Some(item) {
        return 0;
    }
    let segments: Vec<&str> =
        segments.into_iter().filter(|segment| !matches!(*segment, "crate" | "self" | "super" | "")).collect();
    let inner: Vec<&str> = item_module.split("::").collect();
    match (segments.is_empty(), inner.ends_with(&segments)) {
        (true, _) if module == item_module => 3,
        (false, true) => 2,
        // An import may rename modules; the item's own name is what is left to go by.
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::is_module_level;

    #[test]
    fn an_item_inside_a_function_is_not_at_module_level() {
        assert!(is_module_level("shop::orders", "shop::orders::charge"));
        assert!(!is_module_level("shop::orders", "shop::orders::test_a::charge"));
        assert!(!is_module_level("shop::orders", "shop::orders::test_a::{{closure}}::charge"));
    }
}
