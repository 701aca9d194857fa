from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Numeric, Text, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Community(Base):
    __tablename__ = "communities"
    __table_args__ = (Index("communities_theme_idx", "theme"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    guild_id: Mapped[int] = mapped_column(Numeric(20), unique=True)
    name: Mapped[str] = mapped_column(Text)
    settings: Mapped[dict] = mapped_column(JSONB, server_default="{}")
    created_at: Mapped[object] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    theme: Mapped[str] = mapped_column(Text, server_default="dark")


class Profile(Base):
    __tablename__ = "profiles"
    __table_args__ = (UniqueConstraint("community_id", "user_id"), Index("profiles_user_idx", "user_id"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    community_id: Mapped[int] = mapped_column(ForeignKey("communities.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(Numeric(20))
    display_name: Mapped[str] = mapped_column(Text)
    bio: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[object] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())


class Badge(Base):
    __tablename__ = "badges"
    __table_args__ = (UniqueConstraint("profile_id", "name"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("profiles.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    awarded_at: Mapped[object] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())


class Reminder(Base):
    __tablename__ = "reminders"

    id: Mapped[int] = mapped_column(primary_key=True)
    community_id: Mapped[int] = mapped_column(ForeignKey("communities.id"), index=True)
    text: Mapped[str]
