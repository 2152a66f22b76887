//! Load balancers as AWS has them: those of the deployment, what they lead to, and how healthy that is.
