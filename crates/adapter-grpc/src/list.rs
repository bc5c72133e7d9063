//! Pages of lists.

use std::sync::Arc;

use tonic::Status;

use crate::status;

/// Most items on a page.
const MAX_PAGE: usize = 1000;

/// One page and where the next begins. A page begins at the item that the token names, so that changes of the list before it
/// neither skip nor repeat one; if it is gone, at its old place.
pub(crate) fn page<T, I>(
    all: &[Arc<T>],
    size: i32,
    token: &str,
    name: impl Fn(&T) -> &str,
    item: impl Fn(&T) -> I,
) -> Result<(Vec<I>, String), Status> {
    let size = match usize::try_from(size) {
        Ok(0) => MAX_PAGE,
        Ok(size) if size <= MAX_PAGE => size,
        _ => return Err(status::bad(format!("page_size must be from 0 to {MAX_PAGE}"))),
    };
    let start = if token.is_empty() {
        0
    } else {
        position(all, token, &name)?
    };
    let items = all.iter().skip(start).take(size).map(|one| item(one));
    let next = start.saturating_add(size);
    let token = all.get(next).map(|item| format!("{next}.{}", name(item)));
    Ok((items.collect(), token.unwrap_or_default()))
}

fn position<T>(all: &[Arc<T>], token: &str, name: impl Fn(&T) -> &str) -> Result<usize, Status> {
    let bad = || status::bad("page_token is not one that this server gave; start again without it");
    let (index, wanted) = token.split_once('.').ok_or_else(bad)?;
    let index: usize = index.parse().map_err(|_| bad())?;
    if all.get(index).is_some_and(|item| name(item) == wanted) {
        return Ok(index);
    }
    Ok(all.iter().position(|item| name(item) == wanted).unwrap_or(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[Arc<String>], size: i32, token: &str) -> Result<(Vec<String>, String), Status> {
        page(all, size, token, |name| name, Clone::clone)
    }

    #[test]
    fn pages_join_although_the_list_changes() {
        let mut all: Vec<_> = ["a", "b", "c", "d"].map(|n| Arc::new(n.to_owned())).into();
        let (first, next) = names(&all, 2, "").unwrap();
        assert_eq!((first, &*next), (vec!["a".to_owned(), "b".to_owned()], "2.c"));
        all.remove(0);
        let (second, next) = names(&all, 2, &next).unwrap();
        assert_eq!((second, &*next), (vec!["c".to_owned(), "d".to_owned()], ""));
    }

    #[test]
    fn bad_sizes_and_tokens_are_refused() {
        let all = [Arc::new("a".to_owned())];
        for (size, token) in [(-1, ""), (1001, ""), (0, "x"), (0, "x.a"), (0, "-1.a")] {
            assert_eq!(
                names(&all, size, token).unwrap_err().code(),
                tonic::Code::InvalidArgument
            );
        }
        assert_eq!(names(&all, 0, "18446744073709551615.z").unwrap().0, [""; 0]);
    }
}
