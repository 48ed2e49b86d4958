//! The annotated function: its attributes, signature and parameters. The body stays a token tree,
//! so that half-typed code still expands and an editor can complete in it.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::visit::Visit;
use syn::{Attribute, FnArg, Lifetime, Pat, PatType, ReturnType, Signature, Type, Visibility};

use crate::diag::{Diag, by_distance};

/// A function as the user wrote it.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig: Signature = input
            .parse()
            .map_err(|error| syn::Error::new(error.span(), format!("this macro goes on a function: {error}")))?;
        match input.parse::<TokenTree>() {
            Ok(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => Ok(Self { attrs, vis, sig, body }),
            _ => Err(syn::Error::new(sig.ident.span(), "the function needs a body")),
        }
    }
}

/// What a parameter is.
pub(crate) enum Role {
    /// Recorded in the journal, a field of the type.
    Input,
    /// `#[state] x: &T`; holds `T`.
    State(Type),
    /// `#[context] x: &ActivityContext`.
    Context,
    /// `#[transaction] x: &T` or `x: &mut T`; holds `T`.
    Transaction(Type),
}

/// A parameter.
pub(crate) struct Param {
    pub(crate) role: Role,
    pub(crate) ident: Ident,
    pub(crate) ty: Type,
    /// As it stands in the function, without our marker.
    pub(crate) plain: PatType,
}

/// Which markers the macro knows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Activity,
    Workflow,
}

impl Kind {
    /// How a message calls it.
    pub(crate) fn article(self) -> &'static str {
        match self {
            Self::Activity => "an activity",
            Self::Workflow => "a workflow",
        }
    }
}

/// The parameters, and whether inputs can be recorded as they are.
pub(crate) struct Params {
    pub(crate) all: Vec<Param>,
    /// The signature cannot be expanded: only a stub is emitted.
    pub(crate) broken: bool,
}

impl Params {
    /// Those that are recorded.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &Param> + Clone {
        self.all.iter().filter(|param| matches!(param.role, Role::Input))
    }
}

/// Checks what activities and workflows have in common, and takes the parameters apart.
pub(crate) fn check(function: &Function, kind: Kind, diag: &mut Diag) -> Params {
    let sig = &function.sig;
    let what = kind.article();
    let mut broken = false;
    if let Some(constness) = &sig.constness {
        diag.at(constness, format!("{what} is not `const`: remove `const`"));
    }
    if let syn::Safety::Unsafe(token) = &sig.safety {
        diag.at(token, format!("{what} is not `unsafe`: remove `unsafe`"));
        broken = true;
    }
    if let Some(abi) = &sig.abi {
        diag.at(abi, format!("{what} is an ordinary function: remove `extern`"));
        broken = true;
    }
    if borrows_by_name(sig) {
        // The borrow has its error; the lifetime goes with it.
        broken = true;
    } else if !sig.generics.params.is_empty() {
        diag.at(&sig.generics, format!("{what} is recorded by name and cannot be generic: write the concrete types"));
        broken = true;
    } else if let Some(clause) = &sig.generics.where_clause {
        diag.at(clause, format!("{what} cannot be generic: remove the `where` clause"));
        broken = true;
    }
    if let Some(variadic) = &sig.variadic {
        diag.at(variadic, format!("{what} has a fixed number of inputs"));
        broken = true;
    }
    broken |= !check_output(function, what, diag);
    let mut all: Vec<Param> = Vec::new();
    for arg in &sig.inputs {
        match arg {
            FnArg::Receiver(receiver) => {
                let remedy = match kind {
                    Kind::Activity => "write a free function and take the value as `#[state] name: &T`",
                    Kind::Workflow => "write a free function and take what it needs as inputs",
                };
                diag.at(receiver, format!("{what} has no `self`: {remedy}"));
                broken = true;
            }
            FnArg::Typed(typed) => match param(typed, kind, diag) {
                Some(param) => {
                    if all.iter().any(|known| known.ident == param.ident) {
                        broken = true;
                    }
                    all.push(param);
                }
                None => broken = true,
            },
        }
    }
    Params { all, broken }
}

/// Whether all generics are lifetimes, and something borrows.
fn borrows_by_name(sig: &Signature) -> bool {
    let borrows = |ty: &Type| matches!(borrow(ty), Some(Borrow::Lifetime(_)));
    let output = matches!(&sig.output, ReturnType::Type(_, ty) if borrows(ty));
    let inputs =
        sig.inputs.iter().any(|arg| matches!(arg, FnArg::Typed(typed) if typed.attrs.is_empty() && borrows(&typed.ty)));
    !sig.generics.params.is_empty()
        && sig.generics.type_params().next().is_none()
        && sig.generics.const_params().next().is_none()
        && (output || inputs)
}

fn check_output(function: &Function, what: &str, diag: &mut Diag) -> bool {
    let ReturnType::Type(_, ty) = &function.sig.output else {
        let message = format!(
            "{what} returns a `Result`: write `-> Result<T, E>`, or `-> saga_runtime::Result<T>` where a typed error is not worth it"
        );
        diag.at(&function.sig.ident, message);
        return false;
    };
    match borrow(ty) {
        Some(Borrow::Impl(span)) => {
            diag.at_span(span, format!("what {what} returns is recorded: name the type in place of `impl Trait`"));
            false
        }
        Some(Borrow::Lifetime(span)) => {
            diag.at_span(span, format!("what {what} returns is recorded and cannot borrow: return an owned type"));
            false
        }
        None => match not_a_result(ty) {
            Some(shown) => {
                diag.at(ty, format!("{what} returns a `Result`: write `-> Result<{shown}, E>`, or `-> saga_runtime::Result<{shown}>` where a typed error is not worth it"));
                false
            }
            None => true,
        },
    }
}

/// The type, as text, if its spelling shows that it is no `Result`. Of an alias only the compiler
/// knows.
pub(crate) fn not_a_result(ty: &Type) -> Option<String> {
    const OTHERS: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
        "usize", "String", "Option", "Vec", "Box", "Arc", "HashMap", "BTreeMap", "HashSet", "BTreeSet", "Duration",
    ];
    let other = match ty {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| OTHERS.iter().any(|other| last.ident == other))
        }
        Type::Tuple(_) | Type::Array(_) | Type::Slice(_) | Type::FnPtr(_) | Type::Ptr(_) => true,
        _ => false,
    };
    other.then(|| crate::docs::text(ty))
}

/// Sorts a parameter by its marker. `None` (with an error) if it has no name or no type to record.
fn param(typed: &PatType, kind: Kind, diag: &mut Diag) -> Option<Param> {
    let mut plain = typed.clone();
    plain.attrs.clear();
    let mut markers = Vec::new();
    let mut known = true;
    for attr in &typed.attrs {
        if ["state", "context", "transaction"].iter().any(|name| attr.path().is_ident(name)) {
            markers.push(attr);
        } else if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
            diag.at(
                attr,
                format!("an input of {} cannot come and go with `cfg`: put `#[cfg]` on the function", kind.article()),
            );
        } else if ["allow", "warn", "deny", "expect", "forbid"].iter().any(|name| attr.path().is_ident(name)) {
            plain.attrs.push(attr.clone());
        } else {
            unknown_marker(attr, kind, diag);
            known = false;
        }
    }
    let name = name(typed, kind, !markers.is_empty(), diag);
    if let Some(second) = markers.get(1) {
        diag.at(second, "a parameter is one of `#[state]`, `#[context]` and `#[transaction]`: keep one");
    }
    let role = match markers.first() {
        Some(attr) if kind == Kind::Workflow => {
            diag.at(attr, "a workflow has inputs only, so that it can be replayed: take this in an activity and await a call of it");
            return None;
        }
        Some(attr) => marked(attr, typed, diag)?,
        None if !known => return None,
        None => {
            input_type(typed, name.as_ref(), kind, diag)?;
            Role::Input
        }
    };
    Some(Param { role, ident: name?, ty: (*typed.ty).clone(), plain })
}

fn unknown_marker(attr: &Attribute, kind: Kind, diag: &mut Diag) {
    let path = attr.path().to_token_stream().to_string();
    let known: &[&str] = match kind {
        Kind::Activity => &["state", "context", "transaction"],
        Kind::Workflow => &[],
    };
    let message = match by_distance(&path, known).0 {
        Some(nearest) => format!("unknown marker `#[{path}]`: did you mean `#[{nearest}]`?"),
        None if kind == Kind::Activity => {
            format!("unknown marker `#[{path}]`: a parameter can be `#[state]`, `#[context]` or `#[transaction]`")
        }
        None => format!("unknown marker `#[{path}]`: the inputs of a workflow have none"),
    };
    diag.at(attr, message);
}

fn name(typed: &PatType, kind: Kind, marked: bool, diag: &mut Diag) -> Option<Ident> {
    match &*typed.pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => {
            if pat.ident == "output" && kind == Kind::Activity && !marked {
                diag.at(
                    &pat.ident,
                    "`output` is what `compensate = …` calls the activity's output: give this input another name",
                );
                return None;
            }
            Some(pat.ident.clone())
        }
        pattern if marked => {
            diag.at(pattern, "a marked parameter needs a plain name");
            None
        }
        pattern => {
            let message = format!(
                "an input of {} is recorded under its name: write a plain name here and take it apart in the body",
                kind.article()
            );
            diag.at(pattern, message);
            None
        }
    }
}

fn input_type(typed: &PatType, name: Option<&Ident>, kind: Kind, diag: &mut Diag) -> Option<()> {
    let what = kind.article();
    let Some(borrow) = borrow(&typed.ty) else { return Some(()) };
    match borrow {
        Borrow::Impl(span) => {
            diag.at_span(span, format!("an input of {what} is recorded: name the type in place of `impl Trait`"));
        }
        Borrow::Lifetime(span) => {
            let owned = owned_form(&typed.ty);
            let name = name.map_or_else(|| "name".to_owned(), Ident::to_string);
            let state = match kind {
                Kind::Activity => format!(", or `#[state] {name}: &T` for what the engine was given"),
                Kind::Workflow => String::new(),
            };
            diag.at_span(
                span,
                format!("an input of {what} is recorded and cannot borrow: take it owned, `{name}: {owned}`{state}"),
            );
        }
    }
    None
}

fn owned_form(ty: &Type) -> String {
    match ty {
        Type::Reference(reference) => match &*reference.elem {
            Type::Slice(slice) => format!("Vec<{}>", crate::docs::text(&slice.elem)),
            Type::Path(path) if path.path.is_ident("str") => "String".to_owned(),
            elem => crate::docs::text(elem),
        },
        _ => "T".to_owned(),
    }
}

fn marked(attr: &Attribute, typed: &PatType, diag: &mut Diag) -> Option<Role> {
    let marker = attr.path().get_ident().map(Ident::to_string).unwrap_or_default();
    if !matches!(attr.meta, syn::Meta::Path(_)) {
        diag.at(attr, format!("`#[{marker}]` takes no options"));
    }
    let shown = match marker.as_str() {
        "context" => "&ActivityContext".to_owned(),
        "transaction" => "&mut PostgresTx<'_>` or `&SqliteTx<'_>".to_owned(),
        _ => format!("&{}", crate::docs::text(&typed.ty)),
    };
    let Type::Reference(reference) = &*typed.ty else {
        diag.at(&typed.ty, format!("`#[{marker}]` is lent to the activity: write `{shown}`"));
        return None;
    };
    if let (Some(mutability), false) = (&reference.mutability, marker == "transaction") {
        let remedy = if marker == "state" { "; for changes use a `Mutex` or an atomic in it" } else { "" };
        diag.at(mutability, format!("`#[{marker}]` is shared by all attempts: write `&` without `mut`{remedy}"));
        return None;
    }
    let elem = &*reference.elem;
    if marker == "context" {
        return Some(Role::Context);
    }
    if marker == "transaction" {
        return Some(Role::Transaction(elem.clone()));
    }
    match elem {
        Type::TraitObject(object) => {
            diag.at(
                elem,
                format!("state is looked up by its type and has a size: write `&Arc<{}>`", crate::docs::text(object)),
            );
            None
        }
        Type::ImplTrait(_) => {
            diag.at(elem, "state is looked up by its type: name the type in place of `impl Trait`");
            None
        }
        Type::Slice(_) => {
            diag.at(elem, "state is looked up by its type and has a size: write `&Vec<T>` or a type of your own");
            None
        }
        Type::Path(path) if path.path.is_ident("str") => {
            diag.at(elem, "state is looked up by its type and has a size: write `&String` or a type of your own");
            None
        }
        _ => Some(Role::State(elem.clone())),
    }
}

/// Why a type cannot be recorded, as far as its spelling shows.
pub(crate) enum Borrow {
    /// A reference or a lifetime.
    Lifetime(Span),
    /// `impl Trait`.
    Impl(Span),
}

/// The first borrow or `impl Trait` in a type.
pub(crate) fn borrow(ty: &Type) -> Option<Borrow> {
    struct Finder(Option<Borrow>);
    impl Visit<'_> for Finder {
        fn visit_type_reference(&mut self, ty: &syn::TypeReference) {
            self.0.get_or_insert(Borrow::Lifetime(ty.span()));
        }
        fn visit_lifetime(&mut self, lifetime: &Lifetime) {
            if lifetime.ident != "static" {
                self.0.get_or_insert(Borrow::Lifetime(lifetime.span()));
            }
        }
        fn visit_type_impl_trait(&mut self, ty: &syn::TypeImplTrait) {
            self.0.get_or_insert(Borrow::Impl(ty.span()));
        }
        fn visit_type_fn_ptr(&mut self, _: &syn::TypeFnPtr) {}
    }
    let mut finder = Finder(None);
    finder.visit_type(ty);
    finder.0
}

/// The user's other attributes, by where they belong.
pub(crate) struct Attrs {
    /// On everything that is generated.
    pub(crate) cfg: Vec<Attribute>,
    /// On the function that makes calls: docs, deprecation.
    pub(crate) call: Vec<Attribute>,
    /// On the function as it was written: `#[instrument]` and the like.
    pub(crate) plain: Vec<Attribute>,
    /// On both: lint levels.
    pub(crate) lints: Vec<Attribute>,
}

/// Sorts the attributes of the function.
pub(crate) fn sort_attrs(attrs: &[Attribute]) -> Attrs {
    let mut sorted = Attrs { cfg: Vec::new(), call: Vec::new(), plain: Vec::new(), lints: Vec::new() };
    for attr in attrs {
        let is = |name| attr.path().is_ident(name);
        let list = if is("cfg") {
            &mut sorted.cfg
        } else if is("doc") || is("deprecated") || is("must_use") {
            &mut sorted.call
        } else if is("allow") || is("warn") || is("deny") || is("forbid") {
            &mut sorted.lints
        } else {
            &mut sorted.plain
        };
        list.push(attr.clone());
    }
    sorted
}

/// The user's function without our markers, for use as an associated function `name`.
pub(crate) fn plain(function: &Function, params: &Params, name: &Ident) -> TokenStream {
    let mut sig = function.sig.clone();
    sig.ident = name.clone();
    if params.broken {
        for arg in &mut sig.inputs {
            match arg {
                FnArg::Typed(typed) => typed.attrs.clear(),
                FnArg::Receiver(receiver) => receiver.attrs.clear(),
            }
        }
    } else {
        sig.inputs = params.all.iter().map(|param| FnArg::Typed(param.plain.clone())).collect();
    }
    let body = &function.body;
    quote!(#sig #body)
}
