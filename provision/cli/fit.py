"""`provision fit`."""

from __future__ import annotations

import click

from provision.cli import options


@click.command("fit")
@click.argument("model")
@click.option("--gpu", required=True, metavar="[Nx]NAME", help="The GPUs, such as H100 or 2xH200.")
@click.option(
    "--hosts",
    type=click.IntRange(1),
    default=1,
    metavar="COUNT",
    help="Over how many hosts the model runs, each with the GPUs of --gpu.  [default: 1]",
)
@click.option("--vllm", metavar="VERSION", help="The release of vLLM. Default: the newest that is known.")
@click.option(
    "--set",
    "fields",
    multiple=True,
    metavar="FIELD=VALUE",
    help="A field of a service of kind vllm, such as max_model_len=8192; may be repeated.",
)
@click.option(
    "--source",
    type=click.Choice(["modelscope", "huggingface"]),
    help="The hub of MODEL. Default: a folder if there is one, then ModelScope, then Hugging Face.",
)
@options.shared("fit")
def command(
    call: options.Call,
    model: str,
    gpu: str,
    hosts: int,
    vllm: str | None,
    fields: tuple[str, ...],
    source: str | None,
) -> int:
    """Say whether MODEL runs under vLLM on a GPU, and how many tokens it has room for.

    MODEL is the folder of a model, or its id on ModelScope or Hugging Face, of which only config.json and the
    lists of weights are read. Needs no host and no GPU. Exit code 0 when it fits or may fit, 1 when it does
    not.
    """
    from provision.project import question
    from provision.project.described import described
    from provision.show.foreseen import Foreseen

    chosen, version = question.gpus(gpu, hosts), question.release(vllm)
    service = question.service(fields, chosen, version)
    answer = question.answer(described(model, source), service, chosen, version)
    call.tell([Foreseen(model, answer)])
    return int(answer.fit.verdict == "does_not_fit")
