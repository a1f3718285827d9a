"""AVAMDR, the high-resolution resolver of IMSS: two branches between a frozen vision model and its mask decoder."""

from __future__ import annotations

from wordmask.methods.imss.avamdr.resolver import Resolved, Resolver, ResolverSettings

__all__ = ["Resolved", "Resolver", "ResolverSettings"]
