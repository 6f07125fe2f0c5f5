//! The methods that each path answers to.

use poem::http::Method;

/// Every path with its methods.
pub(super) struct Operations(Vec<(String, Vec<Method>)>);

impl Operations {
    /// The operations of the API, and `pages` besides it, which answer to GET.
    pub(super) fn new(api: Vec<(String, Vec<Method>)>, pages: &[&str]) -> Self {
        let pages = pages.iter().map(|path| ((*path).to_owned(), vec![Method::GET]));
        Self(api.into_iter().chain(pages).collect())
    }

    /// The methods of the path; none if there is no such path. Where several templates match, that with the fewest
    /// variables wins: `/api/runs/events` over `/api/runs/{runId}`.
    pub(super) fn methods(&self, path: &str) -> &[Method] {
        let matching = self.0.iter().filter(|(template, _)| matches(template, path));
        let best = matching.min_by_key(|(template, _)| template.matches('{').count());
        best.map_or(&[], |(_, methods)| methods)
    }

    /// Whether a path answers to a method.
    pub(super) fn has(&self, method: &Method, path: &str) -> bool {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        self.methods(path).contains(method)
    }

    /// The methods of a path as the header `Allow` lists them.
    pub(super) fn allowed(&self, path: &str) -> String {
        let names = self.methods(path).iter();
        let names = names.map(|method| if *method == Method::GET { "GET, HEAD" } else { method.as_str() });
        names.collect::<Vec<_>>().join(", ")
    }
}

fn matches(template: &str, path: &str) -> bool {
    let fits = |(wanted, given): (&str, &str)| wanted.starts_with('{') || wanted == given;
    template.split('/').count() == path.split('/').count()
        && template.split('/').zip(path.split('/')).all(fits)
}
