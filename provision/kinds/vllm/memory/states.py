"""What layers keep of a sequence that do not attend: the state of linear attention, Mamba, or a convolution.

Follows vLLM 0.25.1: `model_executor/layers/mamba/mamba_utils.py` (`MambaStateShapeCalculator`).
"""

from __future__ import annotations

from math import ceil

from provision.kinds.vllm.memory.parts import Config, State, UnknownShape, whole


def state(text: Config) -> State:
    """Return the state of one layer.

    Raises:
        UnknownShape: it is of a kind that is not known.
    """
    if "linear_num_value_heads" in text:
        keys, values = whole(text, "linear_num_key_heads"), whole(text, "linear_num_value_heads")
        rows, columns = whole(text, "linear_value_head_dim"), whole(text, "linear_key_head_dim")
        single = text.get("mamba_ssm_dtype") == "float32"
        taps = whole(text, "linear_conv_kernel_dim") - 1
        return State("delta", taps, values, rows, columns, keys, single)
    if text.get("attn_type_list"):
        heads = whole(text, "num_attention_heads")
        size = int(text.get("head_dim") or whole(text, "hidden_size") // heads)
        return State("lightning", 0, heads, size, size, heads, single=True)
    if text.get("linear_attn_config"):
        about = text["linear_attn_config"]
        heads, size = whole(about, "num_heads"), whole(about, "head_dim")
        return State(
            "kimi", whole(about, "short_conv_kernel_size") - 1, heads, size, size, heads, single=True
        )
    if text.get("conv_L_cache"):
        return State("convolution", whole(text, "conv_L_cache") - 1, whole(text, "hidden_size"), 1, 0, 0)
    if text.get("time_step_rank") or (text.get("mamba_d_state") and not _several(text)):
        return _selective(text)
    return _mamba(text)


def _several(text: Config) -> int | None:
    """Return the heads of Mamba 2; None where there are none."""
    return next((text[name] for name in ("mamba_n_heads", "n_mamba_heads") if text.get(name)), None)


def _selective(text: Config) -> State:
    """Return the state of Mamba 1, which has a column for each channel."""
    inner = text.get("mamba_expand")
    channels = int(inner) * whole(text, "hidden_size") if inner else whole(text, "intermediate_size")
    rank = text.get("mamba_dt_rank") or text.get("time_step_rank")
    rank = rank if isinstance(rank, int) else ceil(whole(text, "hidden_size") / 16)
    taps = whole(text, "mamba_d_conv", "conv_kernel") - 1
    return State("selective", taps, channels, 1, whole(text, "mamba_d_state", "state_size"), 0, rank=rank)


def _mamba(text: Config) -> State:
    """Return the state of Mamba 2, by whichever names a family has for its sizes."""
    chunk = int(text.get("mamba_chunk_size") or text.get("chunk_size") or 256)
    if "ssm_state_size" in text:
        single = text.get("mamba_ssm_cache_dtype", "float32") == "float32"
        heads, size = whole(text, "mamba_num_heads"), whole(text, "mamba_head_dim")
        taps, groups = whole(text, "conv_kernel") - 1, whole(text, "n_groups")
        return State("mamba", taps, heads, size, whole(text, "ssm_state_size"), groups, single, chunk)
    rank = text.get("mamba_d_state") or text.get("state_size")
    if not rank:
        raise UnknownShape("its config.json has layers whose state provision cannot compute")
    heads = _several(text) or whole(text, "num_heads")
    # The key head_dim is of a head of the state only where nothing attends.
    names = ("mamba_d_head", "mamba_headdim", *(["head_dim"] if "num_heads" in text else []))
    expanded = int(text.get("mamba_expand") or text.get("expand") or 2) * whole(text, "hidden_size") // heads
    size = next((text[name] for name in names if isinstance(text.get(name), int)), expanded)
    groups = int(text.get("mamba_n_groups") or text.get("mamba_ngroups") or text.get("n_groups") or 1)
    taps = int(text.get("mamba_d_conv") or text.get("conv_kernel") or 4) - 1
    return State("mamba", taps, heads, size, int(rank), groups, chunk=chunk)
