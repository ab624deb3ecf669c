"""Which module masks what the kernel does not know by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.kernel import searchmask
from wiremask.rules.maskers import chain, dates, embedded, fpe, numeric, places, sealing, tokens
from wiremask.rules.model import masks

if TYPE_CHECKING:
    from wiremask.rules.kernel.collected import Collected
    from wiremask.rules.model.masks import Mask, OnUnmaskable, Search


def collect(
    mask: Mask | Search, topic: str, *, depth_limit: int = 64, on_unmaskable: OnUnmaskable = "reject"
) -> Collected:
    """The collected form of a mask.

    Args:
        mask: any that keeps the type of a leaf or makes text of it.
        topic: of the values that it will meet.
        depth_limit: for documents in a text, as it is for the values.
        on_unmaskable: what becomes of a leaf in such a document that its mask does not take.
    """
    match mask:
        case masks.Search():
            return searchmask.SearchMask(
                mask,
                [collect(found.mask, topic) for found in mask.finds],
                None
                if mask.then is None
                else collect(mask.then, topic, depth_limit=depth_limit, on_unmaskable=on_unmaskable),
            )
        case masks.Keep():
            return chain.KeepMask()
        case masks.Redact() | masks.Partial() | masks.Truncate() | masks.Pattern() | masks.Hash():
            return chain.KernelMask(mask)
        case masks.Chain():
            return chain.ChainMask([collect(one, topic) for one in mask.masks])
        case masks.Email():
            return chain.EmailMask(collect(mask.local, topic), collect(mask.domain, topic))
        case masks.Bucket():
            return numeric.bucket_number(mask)
        case masks.Round():
            return numeric.round_number(mask)
        case masks.Range():
            return numeric.find_range(mask)
        case masks.Age():
            return numeric.cap_age(mask)
        case masks.Noise():
            return numeric.NoiseMask(mask)
        case masks.Date():
            return dates.DateMask(mask)
        case masks.DateShift():
            return dates.DateShiftMask(mask)
        case masks.Zip3():
            return places.ZipMask(mask)
        case masks.Ip():
            return places.IpMask(mask)
        case masks.IpScramble():
            return places.IpScrambleMask(mask)
        case masks.Token():
            return tokens.TokenMask(mask)
        case masks.Pseudonym():
            return tokens.PseudonymMask(mask)
        case masks.Fpe():
            return fpe.FpeMask(mask)
        case masks.Encrypt(reveal=True):
            return sealing.OpenMask(mask, topic)
        case masks.Encrypt():
            return sealing.SealMask(mask, topic)
        case masks.Embedded():
            return embedded.EmbeddedMask(mask, topic=topic, depth_limit=depth_limit, on_unmaskable=on_unmaskable)
        case _:
            raise TypeError(f"{type(mask).__name__} cannot be collected")
