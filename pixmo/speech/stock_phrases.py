"""What Whisper learned from subtitles and writes over silence, in the words of `text.normalise`.

Sources: openai/whisper discussions 679 and 928; Barański et al. 2025, Investigation of Whisper ASR
Hallucinations Induced by Non-Speech Audio. Not here: what a speaker may well say to end with, such
as "thank you" or "bye".
"""

STOCK_PHRASES = frozenset(
    {
        "thanks for watching",
        "thank you for watching",
        "thank you so much for watching",
        "thank you very much for watching",
        "please subscribe",
        "please subscribe to my channel",
        "please like and subscribe",
        "like and subscribe",
        "don't forget to subscribe",
        "see you in the next video",
        "i'll see you in the next video",
        "transcription by castingwords",
        "www mooji org",
        # German
        "vielen dank fürs zuschauen",
        "untertitel im auftrag des zdf",
        "untertitel im auftrag des zdf für funk",
        "untertitelung im auftrag des zdf",
        "untertitelung des zdf",
        "untertitelung br",
        "untertitel von stephanie geiges",
        "copyright wdr",
        # French
        "merci d'avoir regardé cette vidéo",
        "abonnez-vous",
        "sous-titrage st 501",
        "sous-titrage société radio-canada",
        # Spanish, Portuguese, Italian
        "gracias por ver el video",
        "suscríbete al canal",
        "obrigado por assistir",
        "inscreva-se no canal",
        "grazie per la visione",
        "sottotitoli e revisione a cura di qtss",
        # Dutch, Swedish, Polish, Turkish
        "bedankt voor het kijken",
        "tack för att ni tittade",
        "dziękuję za obejrzenie",
        "dziękuję za uwagę",
        "abone olmayı unutmayın",
        "izlediğiniz için teşekkürler",
        # Russian
        "продолжение следует",
        "спасибо за просмотр",
        "субтитры сделал dimatorzok",
        "редактор субтитров а синецкая корректор а егорова",
        # Japanese, Korean, Chinese
        "ご視聴ありがとうございました",
        "チャンネル登録お願いします",
        "시청해주셔서 감사합니다",
        "谢谢观看",
        "感谢观看",
        "請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目",
    }
)
SUBTITLE_CREDIT = "amara org"  # in a sentence of whatever language
