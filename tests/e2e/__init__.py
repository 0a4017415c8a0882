"""The whole thing: real processes of both roles, real peers (nginx, HAProxy, curl), loopback and network namespaces."""
