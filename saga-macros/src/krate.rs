//! The path of the runtime crate in generated code, at spans of the user's.

use proc_macro2::{Group, Span, TokenStream, TokenTree};
use quote::quote;

/// The path by which generated code reaches the runtime crate.
#[derive(Clone)]
pub(crate) struct Krate {
    path: TokenStream,
    /// Written by the user: `$crate` and the like resolve where they stand.
    custom: bool,
}

impl Krate {
    /// What a user has who did not rename the dependency.
    pub(crate) fn default_path() -> Self {
        Self { path: quote!(::saga_runtime), custom: false }
    }

    /// What `crate = path` says.
    pub(crate) fn custom(path: &syn::Path) -> Self {
        Self { path: quote!(#path), custom: true }
    }

    /// The path located at `span`. Without that an error about generated code would be shown at
    /// the attribute.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        respan(self.path.clone(), span, self.custom)
    }

    /// The hidden module located at `span`.
    pub(crate) fn private(&self, span: Span) -> TokenStream {
        let path = self.at(span);
        quote::quote_spanned!(span=> #path::__private)
    }

    /// The path as text, for serde's `crate` attribute.
    pub(crate) fn text(&self) -> String {
        self.path.to_string().replace(' ', "")
    }
}

/// A span that is shown at `span` but belongs to generated code: names resolve as the user's do,
/// and lints about style leave it alone.
pub(crate) fn located(span: Span) -> Span {
    Span::call_site().located_at(span)
}

fn respan(tokens: TokenStream, span: Span, custom: bool) -> TokenStream {
    tokens
        .into_iter()
        .map(|tree| match tree {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), respan(group.stream(), span, custom));
                inner.set_span(span.resolved_at(group.span()));
                inner.into()
            }
            mut other => {
                other.set_span(if custom { other.span().located_at(span) } else { span });
                other
            }
        })
        .collect()
}
