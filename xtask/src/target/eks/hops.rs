//! On which hop a request from outside fails first: pod, Service, target group, load balancer, DNS, TLS.
