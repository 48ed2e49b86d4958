//! The macros of the saga framework.
use proc_macro::TokenStream;
/// Stub.
#[proc_macro_attribute]
pub fn activity(_: TokenStream, item: TokenStream) -> TokenStream { item }
/// Stub.
#[proc_macro_attribute]
pub fn workflow(_: TokenStream, item: TokenStream) -> TokenStream { item }
/// Stub.
#[proc_macro_attribute]
pub fn durable(_: TokenStream, item: TokenStream) -> TokenStream { item }
/// Stub.
#[proc_macro_derive(Classify, attributes(permanent, transient))]
pub fn classify(_: TokenStream) -> TokenStream { TokenStream::new() }
/// Stub.
#[proc_macro_derive(Event, attributes(event))]
pub fn event(_: TokenStream) -> TokenStream { TokenStream::new() }
