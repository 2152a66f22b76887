//! Why a release does not come up, cause first: evidence is gathered from the cluster, judged by rules with stable
//! codes, and kept in a bundle on disk.
