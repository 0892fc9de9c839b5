"""What people and machines say when a call is answered, and in which voices of espeak-ng.

Six parts that share nothing but the word "Alô" and how one greets: five to learn from, each with
words and voices of its own, so that what is learnt from four can be judged by the fifth; and one,
HELD, to measure by.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Part:
    """Words and voices of one part.

    A phrase is one of each column; an empty string says nothing. About half of the people say one
    greeting and wait.
    """

    people: tuple[tuple[str, ...], ...]
    machines: tuple[tuple[str, ...], ...]
    voices: tuple[str, ...]
    accents: tuple[str, ...]


TRAIN: tuple[Part, ...] = (
    Part(
        people=(
            ("Alô", "Alô", "Oi", "Pode falar", "Bom dia", "Residência", "Alô, alô", "Boa tarde",
             "E aí", "Fala, chefe"),
            (*[""] * 7, "quem fala", "às ordens", "é a Paula", "Padaria Central",
             "pode dizer o seu nome", "meu amigo", "é da farmácia", ""),
        ),
        machines=(
            ("", "Olá,", "Oi, tudo bem,", "Atenção,"),
            ("sua chamada está sendo encaminhada para a caixa postal",
             "você ligou para a família Souza", "caixa postal",
             "você está sendo direcionado para o correio de voz",
             "o número chamado não recebe ligações",
             "a sua ligação é muito importante para nós"),
            ("", "deixe o seu recado após o sinal", "e estará sujeita a cobrança",
             "consulte o número e tente novamente"),
        ),
        voices=(
            "m1", "m6", "f1", "f4", "Alex", "Alicia", "Hugo", "Marcelo", "adam", "belinda",
            "grandma", "benjamin", "caleb", "robosoft",
        ),
        accents=("pt-br",),
    ),
    Part(
        people=(
            ("Alô", "Alô", "Pronto", "Quem está aí", "Eu, quem é", "Olá", "É ele", "Diz",
             "Manda", "Opa, bão"),
            (*[""] * 7, "boa noite", "casa da Maria", "estou ouvindo", "a ligação está ruim",
             "por favor", "Oficina do Zé", "tudo certo", ""),
        ),
        machines=(
            ("", "Alô,", "Bom dia,", "Prezado cliente,"),
            ("este telefone está desligado", "aqui é a Paula, não posso atender",
             "o assinante está em outra ligação", "eu não estou disponível agora",
             "obrigado por ligar para a nossa loja",
             "o ramal discado não responde"),
            ("", "tente mais tarde", "aguarde na linha", "grave a sua mensagem após o tom"),
        ),
        voices=(
            "m2", "m7", "f2", "f5", "Andrea", "Lee", "Mario", "anika", "david", "ed", "grandpa",
            "iven2", "linda", "robosoft3",
        ),
        accents=("pt-br", "pt-br", "pt"),
    ),
    Part(
        people=(
            ("Alô", "Alô", "Sim", "Sou eu mesmo", "Alô, quem deseja", "Pois não", "Ô de casa",
             "Quem é", "Hum", "Não é aqui não"),
            (*[""] * 7, "bom dia", "pode falar", "quem gostaria", "fala mais alto",
             "quem está falando", "é o João", "estou no trânsito agora", ""),
        ),
        machines=(
            ("", "Mensagem gratuita,", "Boa noite,", "Oi,"),
            ("o número que você ligou não pode atender agora",
             "você ligou para o escritório, o nosso horário é de segunda a sexta",
             "esta é a caixa de mensagens de Carlos",
             "o celular chamado encontra-se fora de serviço", "deixe a sua mensagem",
             "estou dirigindo ou em reunião"),
            ("", "deixe o seu nome e telefone", "retorne a partir das nove horas",
             "ou envie um e-mail"),
        ),
        voices=(
            "m3", "m8", "f3", "Annie", "Marco", "Michael", "antonio", "edward", "john", "klatt2",
            "max", "steph", "UniRobot", "robosoft5",
        ),
        accents=("pt-br",),
    ),
    Part(
        people=(
            ("Alô", "Alô", "Opa", "Fala comigo", "Hã", "Com quem", "Sim, senhor", "Tudo bem",
             "Tô ouvindo", "Dona Lúcia falando"),
            (*[""] * 7, "tem alguém aí", "sou eu mesmo", "um momento", "boa tarde",
             "não estou ouvindo", "ela saiu", "de onde é", ""),
        ),
        machines=(
            ("", "Bem-vindo,", "Alô, pessoal,", "Desculpe,"),
            ("no momento não posso falar", "para falar com vendas, digite um",
             "se você está ouvindo isto é porque eu saí", "a nossa central está fechada",
             "todos os nossos atendentes estão ocupados",
             "aqui é da casa dos Oliveira, ninguém pode atender"),
            ("", "ligue novamente, por favor", "por gentileza, espere um pouco",
             "a sua ligação será atendida em instantes"),
        ),
        voices=(
            "m4", "Denis", "Henrique", "Storm", "aunty", "miguel", "pablo", "paul", "klatt4",
            "quincy", "shelby", "steph2", "whisper", "robosoft7",
        ),
        accents=("pt-br", "pt-br", "pt"),
    ),
    Part(
        people=(
            ("Alô", "Alô", "Fala", "Diga", "Oi, oi", "Oi, pode dizer", "Estou aqui", "Quem fala",
             "Um instante", "Escuta"),
            (*[""] * 7, "tudo bem", "não conheço este número", "sim, pode dizer", "o que foi",
             "aqui é o Pedro", "já vou", "é engano", ""),
        ),
        machines=(
            ("", "Oi, aqui é o Rafael,", "Aviso da operadora,", "Olá, visitante,"),
            ("a pessoa chamada não está disponível", "este número não existe",
             "aqui quem fala é a secretária eletrônica da clínica",
             "não foi possível completar a sua chamada", "eu saí para almoçar",
             "a caixa de mensagens está cheia"),
            ("", "fale depois do bipe", "verifique o número discado",
             "assim que eu puder retorno a sua ligação"),
        ),
        voices=(
            "m5", "Diogo", "pedro", "rob", "travis", "victor", "zac", "anikaRobot", "Demonic",
            "croak", "robosoft2", "robosoft4", "robosoft6", "robosoft8",
        ),
        accents=("pt-br", "pt-br", "pt"),
    ),
)  # fmt: skip

HELD = Part(
    people=(
        ("Alô", "Alô", "Alô", "Oiê", "Chama", "Como", "É ela", "Tô na escuta", "Meu bem",
         "Quem tá falando", "Pode dizer", "Espera um pouco", "Não tem ninguém", "Antônia",
         "Lanchonete do Beto", "Repete"),
        (*[""] * 10, "joia", "quer falar com quem", "é da papelaria", "agora não posso",
         "do que se trata", "não é daqui", "estou à escuta", "me chama depois"),
    ),
    machines=(
        ("", "Estimado cliente,", "Que bom que você ligou,", "Lembramos que", "Fala, galera,",
         "Oi, meu nome é Bia,"),
        ("neste instante não dá para falar", "aguarde, já vamos atender",
         "abrimos de terça a domingo", "o telefone encontra-se desligado",
         "esta linha foi cancelada pelo titular", "o correio de voz não foi ativado",
         "aqui é da residência dos Prado", "não localizamos o número digitado"),
        ("", "deixe um recado depois do toque", "escreva para mim", "se preferir, tecle nove",
         "um abraço"),
    ),
    voices=(
        "Andy", "AnxiousAndy", "Gene", "Gene2", "Jacky", "Mike", "Nguyen", "RicishayMax",
        "RicishayMax2", "RicishayMax3", "Tweaky", "announcer", "boris", "edward2", "gustave",
        "iven", "iven3", "iven4", "kaukovalta", "klatt", "klatt3", "klatt5", "klatt6", "michel",
        "norbert", "robert", "sandro", "steph3", "whisperf",
    ),
    accents=("pt-br", "pt-br", "pt-br", "pt", "es-419"),
)  # fmt: skip
