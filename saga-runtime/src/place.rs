//! Where an item is declared.

/// Whether `type_name` lies directly in `module`, not inside a function's body there.
pub(crate) fn is_module_level(module: &str, type_name: &str) -> bool {
    type_name.strip_prefix(module).and_then(|rest| rest.strip_prefix("::")).is_some_and(|name| !name.contains("::"))
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
