//! The names of public services: records in Route 53 where a zone is named, printed for other DNS hosts where not.
